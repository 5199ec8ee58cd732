"""AUTOMATIC1111's reader of its own texts, by its documented rules, written for tests alone.

The last line holds pairs ``name: value``, parted by commas, if it holds three at least; a value in
quotes is JSON. The lines before are the prompt, from one that begins with ``Negative prompt:`` the
negative prompt. Tags are ``<lora:NAME:TEXT_ENCODER:UNET>``.
"""

from __future__ import annotations

import json
import re
from typing import Any


def pairs_of(line: str) -> dict[str, str]:
    """By cutting at commas outside of quotes; what holds no colon belongs to no pair."""
    parts, part, quoted, escaped = [], "", False, False
    for char in line:
        if char == "," and not quoted:
            parts.append(part)
            part = ""
            continue
        if char == '"' and not escaped:
            quoted = not quoted
        escaped = char == "\\" and not escaped
        part += char
    read = {}
    for each in (*parts, part):
        name, colon, value = each.partition(":")
        if colon:
            value = value.strip()
            read[name.strip()] = json.loads(value) if value[:1] == '"' else value
    return read


def request_of(text: str) -> dict[str, Any]:
    """What the program would ask itself for, in the names of its API."""
    *lines, last = text.strip().split("\n")
    pairs = pairs_of(last.partition(", Hashes: ")[0])
    marked = [line.strip().startswith("Negative prompt:") for line in lines]
    split = marked.index(True) if any(marked) else len(lines)
    positive, negative = lines[:split], lines[split:]
    negative[:1] = [line.strip()[len("Negative prompt:") :] for line in negative[:1]]
    prompt = "\n".join(line.strip() for line in positive).strip()
    loras = re.findall(r"<lora:([^:>]+):([^:>]+)(?::([^:>]+))?>", prompt)
    width, height = pairs["Size"].split("x")
    return {
        "prompt": re.sub(r"<lora:[^>]+>", "", prompt),
        "negative_prompt": "\n".join(line.strip() for line in negative).strip(),
        "loras": [(name, float(te), float(unet or te)) for name, te, unet in loras],
        "steps": int(pairs["Steps"]),
        "sampler": pairs["Sampler"],
        "scheduler": pairs.get("Schedule type", "Automatic"),
        "cfg_scale": float(pairs["CFG scale"]),
        "seed": int(pairs["Seed"]),
        "size": (int(width), int(height)),
        "clip_skip": int(pairs.get("Clip skip", "1")),
        "subseed": int(pairs.get("Variation seed", "0")),
        "subseed_strength": float(pairs.get("Variation seed strength", "0")),
        "eta_noise_seed_delta": int(pairs.get("ENSD", "0")),
        "randn_source": pairs.get("RNG", "GPU"),
        "eta": float(pairs["Eta"]) if "Eta" in pairs else None,
        "model_hash": pairs["Model hash"],
        "model": pairs["Model"],
        "lora_hashes": pairs.get("Lora hashes", ""),
    }
