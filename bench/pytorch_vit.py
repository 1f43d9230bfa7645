"""The Vision Transformer of MODEL.md in PyTorch, as an engineer would write it for speed."""
import torch
from torch import nn
from torch.nn import functional as F

HANDLED = {"gate": ("none",), "posemb": ("learn",), "pool": ("gap",), "registers": (0,), "bias": (0,),
           "rep_size": (False,), "layer_scale": (0,), "gelu": ("tanh",), "h": ("relu", "softmax"),
           "qk_norm": ("none", "layernorm")}


class Attention(nn.Module):
    def __init__(self, c):
        super().__init__()
        width, self.heads = c["width"], c["heads"]
        self.softmax, self.alpha = c["h"] == "softmax", c["alpha"]
        self.qkv, self.proj = nn.Linear(width, 3 * width), nn.Linear(width, width)
        size = width // self.heads

        def norm():
            return (nn.Identity() if c["qk_norm"] == "none"
                    else nn.LayerNorm(size, eps=c["norm_eps"], bias=False))

        self.q_norm, self.k_norm = norm(), norm()

    def forward(self, x):
        b, n, width = x.shape
        q, k, v = self.qkv(x).view(b, n, 3, self.heads, -1).unbind(2)
        q, k, v = (t.transpose(1, 2) for t in (self.q_norm(q), self.k_norm(k), v))
        if self.softmax:
            o = F.scaled_dot_product_attention(q, k, v)
        else:  # relu(c x) = c relu(x): both factors go into q, none over the n x n scores
            q = q * (q.shape[-1] ** -0.5 * n ** -self.alpha)
            o = torch.relu(q @ k.transpose(-2, -1)) @ v
        return self.proj(o.transpose(1, 2).reshape(b, n, width))


class Block(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.norm1 = nn.LayerNorm(c["width"], eps=c["norm_eps"])
        self.attn = Attention(c)
        self.norm2 = nn.LayerNorm(c["width"], eps=c["norm_eps"])
        self.fc1, self.fc2 = nn.Linear(c["width"], c["mlp"]), nn.Linear(c["mlp"], c["width"])

    def forward(self, x):
        x = x + self.attn(self.norm1(x))
        return x + self.fc2(F.gelu(self.fc1(self.norm2(x)), approximate="tanh"))


class ViT(nn.Module):
    """u8 images [B, S, S, 3] -> logits [B, C]."""

    def __init__(self, c):
        super().__init__()
        for key, values in HANDLED.items():
            if c[key] not in values:
                raise ValueError(f"model.{key} {c[key]} is not written for PyTorch here")
        width, patch = c["width"], c["patch"]
        tokens = (c["image_size"] // patch) ** 2
        self.patches = nn.Conv2d(3, width, patch, stride=patch)
        self.position = nn.Parameter(torch.randn(1, tokens, width) * width ** -0.5)
        self.blocks = nn.Sequential(*(Block(c) for _ in range(c["depth"])))
        self.norm = nn.LayerNorm(width, eps=c["norm_eps"])
        self.head = nn.Linear(width, c["classes"])

    def forward(self, images):
        x = images.permute(0, 3, 1, 2).float() * (2 / 255) - 1
        x = self.patches(x).flatten(2).transpose(1, 2) + self.position
        return self.head(self.norm(self.blocks(x)).mean(1))


def images(batch, size):
    return torch.randint(0, 256, (batch, size, size, 3), dtype=torch.uint8)


def start(threads):
    torch.set_num_threads(threads)
    torch.manual_seed(0)
