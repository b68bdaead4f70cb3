"""Problem sets: one text source each becomes a student edition; submissions become grades and feedback."""


def main(arguments):
    """Run `course build`, `course grade` or `course check`; returns the exit status, 1 where a check fails."""
    if arguments.task == "check":
        from . import leaks

        return leaks.check()
    if arguments.task == "grade":
        from . import grade, limits

        chosen = limits.Limits.from_arguments(arguments)
        grade.grade_course(arguments.folder, arguments.course, arguments.out, chosen)
        return 0
    from . import release

    manifest = release.build_course(arguments.out, arguments.seed, arguments.names)
    for name, one in manifest["sets"].items():
        problems, points, by_hand = len(one["problems"]), one["points"], one["manual_points"]
        print(f"{name}: {problems} problems, {points} points, {by_hand} of them by hand")
    print(f"hand out {arguments.out}/student.zip; keep {arguments.out}/instructor")
    return 0
