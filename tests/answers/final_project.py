"""The final project has no code to grade: a person grades its six texts."""

RIGHT, WRONG = {}, []
