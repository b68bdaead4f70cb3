"""Problem sets: one text source each becomes a student edition; submissions become grades and feedback."""


def main(task, **options):
    """Run `course build`, `course grade` or `course check`; returns the exit status, 1 where a check fails."""
    if task == "grade":
        from . import grade, limits

        chosen = limits.Limits(**{name: options.pop(name) for name in limits.MINIMUM})
        grade.grade_course(**options, limits=chosen)
        return 0
    from . import release

    if task == "check":
        return release.check()
    manifest = release.build_course(**options)
    for name, one in manifest["sets"].items():
        problems, points, by_hand = len(one["problems"]), one["points"], one["manual_points"]
        print(f"{name}: {problems} problems, {points} points, {by_hand} of them by hand")
    print("hand out {out}/student.zip; keep {out}/instructor".format(**options))
    return 0
