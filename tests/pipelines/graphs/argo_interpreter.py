"""A small interpreter of Argo Workflows, written from Argo's reference and not from our writer:
dag, depends, when, retryStrategy, outputs.

Sources: argo-workflows docs, "Enhanced Depends Logic" (results of a task; a plain name is
`(a.Succeeded || a.Skipped || a.Daemoned)`), "Retries" (retryPolicy Always, OnFailure, OnError;
limit), "Conditionals" (`when` false: Skipped), "Fields". A task whose `depends` can no longer hold
is Omitted. Of expr-lang it reads what `{{=...}}` may hold here.
"""

import re

RESULTS = ("Succeeded", "Failed", "Errored", "Skipped", "Omitted", "Daemoned")
_OF = {
    "Succeeded": "Succeeded",
    "Failed": "Failed",
    "Error": "Errored",
    "Skipped": "Skipped",
    "Omitted": "Omitted",
}
_POLICIES = {"Always": ("Failed", "Error"), "OnFailure": ("Failed",), "OnError": ("Error",)}


class Workflow:
    """`run(template, args)` gives a pod's phase (Succeeded, Failed, Error) and what it wrote, by
    path.
    """

    def __init__(self, document, run):
        spec = document["spec"]
        self.templates = {template["name"]: template for template in spec["templates"]}
        self.parameters = {
            p["name"]: p["value"] for p in spec.get("arguments", {}).get("parameters", ())
        }
        self.entry = self.templates[spec["entrypoint"]]["dag"]
        self.start = run
        self.phases = {}
        self.outputs = {}
        self.order = []

    def run(self):
        tasks = {task["name"]: task for task in self.entry["tasks"]}
        waiting = dict(tasks)
        while waiting:
            ready = [
                name
                for name, task in waiting.items()
                if all(d in self.phases for d in self.dependencies(task))
            ]
            assert ready, "tasks wait for each other"
            for name in ready:
                self.phases[name] = self.task(waiting.pop(name))
        return self.phases

    @staticmethod
    def dependencies(task):
        return set(re.findall(r"[A-Za-z][\w-]*", re.sub(r"\.\w+", "", task.get("depends", ""))))

    def task(self, task):
        if not self.depends(task):
            return "Omitted"
        if "when" in task and self.text(task["when"]) != "true":
            return "Skipped"
        return self.pod(task["name"], self.templates[task["template"]])

    def depends(self, task):
        def result(match):
            name, wanted = match[1], match[2]
            reached = _OF[self.phases[name]]
            return str(
                reached == wanted if wanted else reached in ("Succeeded", "Skipped", "Daemoned")
            )

        text = re.sub(r"([A-Za-z][\w-]*)(?:\.(\w+))?", result, task.get("depends", "")) or "True"
        return eval(
            text.replace("&&", " and ").replace("||", " or ").replace("!", " not "),
            {"__builtins__": {}},
        )

    def pod(self, name, template):
        retry = template.get("retryStrategy")
        tries = int(retry["limit"]) + 1 if retry else 1
        for _ in range(tries):
            self.order.append(name)
            phase, files = self.start(
                template, [self.text(word) for word in template["container"]["args"]]
            )
            if phase == "Succeeded":
                outputs = template.get("outputs", {}).get("parameters", ())
                if missing := [
                    output for output in outputs if output["valueFrom"]["path"] not in files
                ]:
                    raise AssertionError(f"{name} did not write {missing}")
                self.outputs[name] = {
                    output["name"]: files[output["valueFrom"]["path"]] for output in outputs
                }
                return phase
            if retry is None or phase not in _POLICIES[retry.get("retryPolicy", "OnFailure")]:
                return phase
        return phase

    def text(self, text):
        text = re.sub(r"\{\{=(.*?)\}\}", lambda match: self.expression(match[1]), text)
        return re.sub(
            r"\{\{workflow\.parameters\.([\w-]+)\}\}", lambda match: self.parameters[match[1]], text
        )

    def expression(self, text):
        """expr-lang: its strings are JSON's."""
        parts = re.split(r'("(?:[^"\\]|\\.)*")', text)
        python = "".join(part if at % 2 else self.code(part) for at, part in enumerate(parts))
        value = eval(python, {"__builtins__": {}, "asFloat": float, "outputs": self.outputs})
        return {True: "true", False: "false"}.get(value, str(value))

    @staticmethod
    def code(text):
        text = re.sub(
            r"tasks\['([\w-]+)'\]\.outputs\.parameters\['(\w+)'\]", r"outputs['\1']['\2']", text
        )
        return text.replace("&&", " and ").replace("||", " or ")
