"""junit.xml: one test case a metric. INCONCLUSIVE is an error, since CI systems show what is skipped as green."""

from __future__ import annotations

from xml.etree import ElementTree as Xml

from eval.gate_result import GateResult, MetricResult
from eval.gates import Gates
from eval.reports.model import Context
from eval.reports.texts import clean, figure

_ELEMENT = {"FAIL": "failure", "INCONCLUSIVE": "error"}


def report_junit(result: GateResult, context: Context) -> str:
    """Return junit.xml as Jenkins, GitLab and the GitHub reporters read it."""
    verdicts = [str(metric.verdict) for metric in result.metrics.values()]
    counts = {
        "tests": str(len(verdicts)),
        "failures": str(verdicts.count("FAIL")),
        "errors": str(verdicts.count("INCONCLUSIVE")),
        "skipped": "0",
        "time": f"{sum(context.seconds.values()):.3f}",
    }
    root = Xml.Element("testsuites", {"name": "loremill eval gate"} | counts)
    suite = Xml.SubElement(
        root, "testsuite", {"name": clean(result.dataset) or "gate"} | counts | {"timestamp": clean(context.created)}
    )
    properties = Xml.SubElement(suite, "properties")
    for name, value in _properties(result).items():
        Xml.SubElement(properties, "property", {"name": name, "value": clean(value)})
    for metric in result.metrics.values():
        suite.append(_case(metric, context.gates))
    Xml.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + Xml.tostring(root, encoding="unicode") + "\n"


def _properties(result: GateResult) -> dict[str, str]:
    named = {
        "verdict": str(result.verdict),
        "candidate": result.candidate,
        "baseline": result.baseline,
        "dataset": result.dataset,
        "questions": str(result.questions),
        "needed": "" if result.needed is None else str(result.needed),
        "gates": result.gates,
    }
    return named | {f"reason.{place}": reason for place, reason in enumerate(result.reasons, start=1)}


def _case(metric: MetricResult, gates: Gates) -> Xml.Element:
    case = Xml.Element("testcase", {"classname": "loremill.gate", "name": clean(metric.metric), "time": "0"})
    tag = _ELEMENT.get(str(metric.verdict))
    if tag:
        said = {"type": str(metric.verdict), "message": clean(metric.reason)}
        Xml.SubElement(case, tag, said).text = clean(metric.reason)
    figures = [
        f"baseline {figure(metric.baseline)}, candidate {figure(metric.candidate)}, difference {figure(metric.difference, sign=True)}"
    ]
    if metric.interval:
        low, high = metric.interval
        figures.append(f"{1 - gates.alpha:.0%} interval {figure(low, sign=True)} to {figure(high, sign=True)}")
    figures.append(f"mde {figure(metric.mde)}, {metric.questions} questions, coverage {metric.coverage:.3f}")
    Xml.SubElement(case, "system-out").text = clean("; ".join(figures))
    return case
