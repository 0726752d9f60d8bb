"""What a gate leaves to read: report.html for a person, report.md for a pull request, junit.xml for CI, report.json for programs."""

from eval.reports.model import Context, Passage, Question, Side
from eval.reports.write import write_reports

__all__ = ["Context", "Passage", "Question", "Side", "write_reports"]
