"""Problem sets: from one text source each to a student edition without solutions, and from submissions to grades and feedback."""


def main(arguments):
    """Run `course build`, `course grade` or `course check`; returns the exit status.

    Returns 0, or 1 where a check fails. Raises ValueError as the three do.
    """
    if arguments.task == "build":
        from . import release

        manifest = release.build_course(arguments.out, arguments.seed, arguments.names)
        for name, one in manifest["sets"].items():
            print(
                f"{name}: {len(one['problems'])} problems, {one['points']} points, {one['manual_points']} of them by hand"
            )
        print(f"hand out {arguments.out}/student.zip; keep {arguments.out}/instructor")
        return 0
    if arguments.task == "grade":
        from . import grade

        grade.grade_course(
            arguments.folder, arguments.course, arguments.out, arguments.timeout, arguments.memory, arguments.workers
        )
        return 0
    from . import rehearsal

    return rehearsal.main()
