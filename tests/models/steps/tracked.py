"""Recognises gestures in the signal of an accelerometer: a small convolutional network that trains by steps.

It keeps a checkpoint at regular steps, and continues from it when it is restarted.
"""

import argparse
from pathlib import Path

import torch
from torch import nn

import catwalk

GESTURES = ["circle", "shake", "swipe", "tap", "twist"]
SAMPLES = 64
"""Samples of one gesture, on three axes."""


def gestures(count: int, seed: int):
    """Returns signals (count, 3, SAMPLES) and the gesture of each."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(len(GESTURES), (count,), generator=generator)
    time = torch.linspace(0, 1, SAMPLES)
    start = 0.3 * torch.rand(count, 1, generator=generator)
    speed = 0.7 + 0.6 * torch.rand(count, 1, generator=generator)
    phase = 2 * torch.pi * speed * (time - start)
    bump = torch.exp(-(((time - 0.35 - start) * speed) ** 2) / 0.01)
    shapes = torch.stack(
        [
            torch.stack([phase.sin(), phase.cos(), 0 * phase], 1),
            torch.stack([(5 * phase).sin(), 0 * phase, 0.3 * phase.sin()], 1),
            torch.stack([phase.sin(), 0.2 * phase.cos(), 0 * phase], 1),
            torch.stack([0 * phase, 0 * phase, 2 * bump], 1),
            torch.stack([0 * phase, phase.sin(), phase.cos()], 1),
        ]
    )
    clean = shapes[labels, torch.arange(count)]
    return clean + 1.1 * torch.randn(count, 3, SAMPLES, generator=generator), labels


def network(width: int):
    return nn.Sequential(
        nn.Conv1d(3, width, 7, stride=2),
        nn.ReLU(),
        nn.Conv1d(width, 2 * width, 5, stride=2),
        nn.ReLU(),
        nn.AdaptiveAvgPool1d(4),
        nn.Flatten(),
        nn.Linear(8 * width, len(GESTURES)),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--width", type=int, default=12)
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--checkpoint-every", type=int, default=50)
    args = parser.parse_args()

    with catwalk.run("steps", catwalk.Multiclass(GESTURES), params=vars(args)) as run:
        torch.manual_seed(0)
        torch.set_num_threads(1)
        train, labels = gestures(4_000, seed=1)
        test, test_labels = gestures(2_000, seed=2)
        model = network(args.width)
        optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
        step, checkpoint = 0, Path("checkpoint.pt")
        if checkpoint.exists():
            saved = torch.load(checkpoint)
            model.load_state_dict(saved["model"])
            optimizer.load_state_dict(saved["optimizer"])
            step = saved["step"]
            print(f"going on after step {step}")

        while step < args.steps:
            step += 1
            batch = torch.randint(len(train), (64,), generator=torch.Generator().manual_seed(step))
            loss = nn.functional.cross_entropy(model(train[batch]), labels[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            if step % args.checkpoint_every == 0:
                run.epoch(step, train={"loss": loss.item()})
                state = {"model": model.state_dict(), "optimizer": optimizer.state_dict(), "step": step}
                torch.save(state, checkpoint.with_suffix(".new"))
                checkpoint.with_suffix(".new").replace(checkpoint)
                print(f"step {step}: loss {loss.item():.4f}")

        with torch.no_grad():
            scores = model(test)
        print(f"{(scores.argmax(1) == test_labels).float().mean():.2%} of {len(test):,} gestures are recognised")
        torch.save(model.state_dict(), "gestures.pt")
        run.model("gestures.pt")
        run.test(test_labels, scores, test_set="gestures of seed 2")
        checkpoint.unlink(missing_ok=True)
    print(run.decision)


if __name__ == "__main__":
    main()
