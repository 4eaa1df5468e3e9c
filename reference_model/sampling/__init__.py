"""From prompts to clips: packing, flow, backends."""
