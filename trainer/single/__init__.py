"""A base in one .safetensors, as A1111, Forge, ComfyUI and Civitai have it: all is told from the names and shapes in
its header, and no tensor is read."""
