"""What visitors bring: taken in pieces, made ready in a process of its own, kept nowhere.

    pieces ──▶ intake.py ──▶ workshop.py ──pipe──▶ worker.py ──▶ making.py
               limits         one at a time          confined       checks, avatar, voiceprint

A photo or a recording lives in the memory of the session, and of the process that looks at it. No
part of this writes a file.
"""
