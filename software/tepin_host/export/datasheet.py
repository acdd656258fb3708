# SPDX-License-Identifier: Apache-2.0
"""A page about a design, made from its manifest: configuration, ports, memories."""

__all__ = ["datasheet"]


def datasheet(manifest):
    """Markdown text of the page."""
    memories = manifest["memories"]
    macros = [memory for memory in memories if memory["writes"] and memory["clocked"]]
    clock, reset = manifest["clock"], manifest["reset"]
    lines = [
        f"# {manifest['module']}",
        "",
        f"Made by {manifest['generator']}; configuration {manifest['config_hash']:08x}, instruction set "
        f"{manifest['isa_version']}.",
        "",
        f"* Latency: {manifest['latency']}.",
        f"* Clock `{clock['port']}`, {clock['edge']} edge. Reset `{reset['port']}`, active {reset['active']}, "
        f"{reset['kind']}, at least {reset['cycles']} cycle. Clock domains crossed: {len(manifest['crossings'])}.",
        f"* {sum(memory['bytes'] for memory in macros):,} bytes in {sum(memory['count'] for memory in macros)} memories that "
        "SRAM macros can replace.",
        *_gates(manifest),
        "",
        "## Configuration",
        "",
        *_table(("parameter", "value"), manifest["config"].items()),
        "",
        "## Ports",
        "",
    ]
    for group in manifest["ports"]:
        lines += [f"**{group['name']}** ({_handshake(group)}): {group['meaning']}.", ""]
        rows = ((f"`{port['name']}`", port["direction"], port["width"]) for port in group["ports"])
        lines += [*_table(("port", "direction", "bits"), rows), ""]
    lines += ["## Memories", ""]
    header = ("module", "count", "words", "bits", "reads", "writes", "bytes in all", "read while written")
    rows = (
        (
            f"`{m['module']}`",
            m["count"],
            m["depth"],
            m["width"],
            m["reads"],
            m["writes"],
            f"{m['bytes']:,}",
            m["collision"],
        )
        for m in memories
    )
    lines += _table(header, rows) if memories else ["None."]
    return "\n".join(lines) + "\n"


def _gates(manifest):
    if gates := manifest.get("clock gates"):
        yield f"* {gates['count']} clocks are stopped while nothing would change: instances of `{gates['module']}`."


def _handshake(group):
    return "no handshake" if group["handshake"] == "none" else group["handshake"]


def _table(header, rows):
    yield "| " + " | ".join(header) + " |"
    yield "|" + " --- |" * len(header)
    for row in rows:
        yield "| " + " | ".join(str(cell).replace("|", "\\|") for cell in row) + " |"
