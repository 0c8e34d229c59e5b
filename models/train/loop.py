"""The training loop: seeded, resumable after every epoch, the same weights however often it was interrupted."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.errors import ModelError
from models.train import state as states
from models.train.data import Examples, epoch_of, steps_of
from models.train.recipe import Recipe

_NORMS = (nn.modules.batchnorm._BatchNorm, nn.LayerNorm, nn.GroupNorm)


@dataclass(frozen=True)
class Progress:
    """How far a training is: epochs done, mean loss and images a second of the last one, seconds of all of them."""

    epoch: int
    epochs: int
    loss: float
    images_per_s: float
    seconds: float

    @property
    def left_s(self) -> float:
        """How many seconds more it will take, if the rest is as fast."""
        return self.seconds / self.epoch * (self.epochs - self.epoch)


def initialize(module: nn.Module, seed: int) -> None:
    """Fill convolutions as He et al. 2015 (arXiv:1502.01852) and linear layers small; the rest stays as it was made.

    The same seed gives the same weights, whatever the state of the global generators.
    """
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for layer in module.modules():
            if isinstance(layer, nn.Conv2d):
                nn.init.kaiming_normal_(layer.weight, nonlinearity="relu", generator=generator)
            elif isinstance(layer, nn.Linear):
                nn.init.normal_(layer.weight, 0.0, 0.01, generator=generator)
            else:
                continue
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)


def train(
    module: nn.Module,
    recipe: Recipe,
    examples: Examples,
    *,
    device: str = "cpu",
    teacher: nn.Module | None = None,
    state: Path | None = None,
    identity: str = "",
    after_step: Callable[[nn.Module], None] | None = None,
    progress: Callable[[Progress], None] | None = None,
) -> nn.Module:
    """Train a module that is built already, from the weights it has, and return it in evaluation mode on the CPU.

    The module takes normalized float32 images (number, channels, side, side) and answers logits (number, classes); it
    is changed in place and ends with the averaged weights. It may be any transformed network: its parameters and
    buffers are what its `state_dict` has. `after_step` is called with it after every step, to hold weights to a
    constraint. `teacher` is a network of the same classes in evaluation mode, whose outputs are learned too.

    With `state`, a file is replaced after every epoch, from which a training of the same recipe goes on, bit for bit as
    if it had not stopped; one of another recipe or `identity` (what else it depends on) raises ModelError. The random
    numbers of an epoch hang on the seed and the epoch alone. Raises ModelError when the loss is no number any more.
    """
    if len(examples) < 2:
        raise ModelError(f"{len(examples)} images cannot be trained on; give two at least")
    run = _Run(module, recipe, examples.to(device), device, teacher, after_step)
    if state is not None and state.exists():
        run.restore(state, identity)
    while run.epoch < recipe.epochs:
        begun = time.perf_counter()
        loss = run.one_epoch()
        epoch_s = time.perf_counter() - begun
        run.seconds += epoch_s
        if state is not None:
            run.keep(state, identity)
        if progress is not None:
            progress(Progress(run.epoch, recipe.epochs, loss, len(examples) / epoch_s, run.seconds))
    return run.result()


class _Run:
    """A training between two epochs: the module, the average of its weights, the optimizer's momenta."""

    def __init__(
        self,
        module: nn.Module,
        recipe: Recipe,
        examples: Examples,
        device: str,
        teacher: nn.Module | None,
        after_step: Callable[[nn.Module], None] | None,
    ) -> None:
        self.module = module.to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.teacher = None if teacher is None else teacher.to(device).eval()
        self.recipe, self.examples, self.device, self.after_step = recipe, examples, device, after_step
        self.epoch, self.seconds = 0, 0.0
        self.optimizer = torch.optim.SGD(
            _groups(module, recipe.weight_decay), lr=recipe.rate, momentum=recipe.momentum, nesterov=recipe.momentum > 0
        )
        # There from the beginning: a buffer that SGD makes of the first gradient may lie otherwise in memory than one
        # that is read again, and sums in another order differ in their last bits.
        self.momenta = {name: torch.zeros_like(parameter) for name, parameter in self.module.named_parameters()}
        for name, parameter in self.module.named_parameters():
            self.optimizer.state[parameter]["momentum_buffer"] = self.momenta[name]
        self.average = {name: tensor.detach().clone() for name, tensor in module.state_dict().items()}

    def one_epoch(self) -> float:
        """Train for one epoch; return its mean loss."""
        recipe = self.recipe
        steps, size = steps_of(self.examples, recipe), recipe.size_at(self.epoch)
        seed = recipe.seed * 1_000_003 + self.epoch
        generator = torch.Generator().manual_seed(seed)
        total = torch.zeros((), device=self.device)
        self.module.train()
        with torch.random.fork_rng(devices=[self.device] if self.device != "cpu" else []):
            torch.manual_seed(seed)  # what dropout draws from
            for index, (images, labels) in enumerate(epoch_of(self.examples, recipe, generator, size)):
                total += self._step(self.epoch * steps + index, steps, images, labels)
        self.epoch += 1
        loss = float(total) / steps
        if not math.isfinite(loss):
            raise ModelError(
                f"the loss is no finite number after epoch {self.epoch}; train with a lower rate than {recipe.rate}"
            )
        return loss

    def _step(self, step: int, steps: int, images: Tensor, labels: Tensor) -> Tensor:
        for group in self.optimizer.param_groups:
            group["lr"] = self.recipe.rate_at(step, steps)
        self.optimizer.zero_grad()
        with torch.autocast(self.device, torch.bfloat16, enabled=self.recipe.bf16):
            logits = self.module(images)
        loss = self._loss(logits.float(), images, labels)
        loss.backward()
        self.optimizer.step()
        if self.after_step is not None:
            self.after_step(self.module)
        self._average(step)
        return loss.detach()

    def _loss(self, logits: Tensor, images: Tensor, labels: Tensor) -> Tensor:
        recipe = self.recipe
        loss = functional.cross_entropy(logits, labels, label_smoothing=recipe.smoothing)
        if self.teacher is None:
            return loss
        with torch.no_grad():
            softened = functional.log_softmax(self.teacher(images).float() / recipe.temperature, 1)
        answer = functional.log_softmax(logits / recipe.temperature, 1)
        # Its gradients shrink with the square of the temperature (Hinton et al. 2015, section 2).
        divergence = functional.kl_div(answer, softened, reduction="batchmean", log_target=True) * recipe.temperature**2
        return (1 - recipe.teaching) * loss + recipe.teaching * divergence

    @torch.no_grad()
    def _average(self, step: int) -> None:
        decay, averages, latest = self.recipe.decay_at(step), [], []
        for name, tensor in self.module.state_dict().items():
            if tensor.is_floating_point():
                averages.append(self.average[name])
                latest.append(tensor)
            else:
                self.average[name].copy_(tensor)
        torch._foreach_lerp_(averages, latest, 1 - decay)

    def keep(self, path: Path, identity: str) -> None:
        """Replace the file that a later process goes on from."""
        parts = {"module": self.module.state_dict(), "average": self.average, "momentum": self.momenta}
        states.write(path, parts, self._head(identity))

    def restore(self, path: Path, identity: str) -> None:
        """Go on from such a file. Raises ModelError where it is damaged or of another training."""
        head, parts = states.read(path)
        if (head.recipe, head.identity) != (self.recipe, identity):
            raise ModelError(f"{path}: of another training; remove it, or repeat the settings that it was made with")
        states.fill(path, self.average, parts["average"])
        states.fill(path, self.module.state_dict(), parts["module"])
        states.fill(path, self.momenta, parts["momentum"])
        self.epoch, self.seconds = head.epoch, head.seconds

    def _head(self, identity: str) -> states.Head:
        return states.Head(recipe=self.recipe, identity=identity, epoch=self.epoch, seconds=self.seconds)

    def result(self) -> nn.Module:
        """The module with its averaged weights."""
        self.module.load_state_dict(self.average)
        module: nn.Module = self.module.to("cpu").eval()
        return module


def _groups(module: nn.Module, weight_decay: float) -> list[dict[str, object]]:
    """Parameters with weight decay, then without: normalizations and biases (He et al. 2018, arXiv:1812.01187)."""
    decayed: list[nn.Parameter] = []
    free: list[nn.Parameter] = []
    for layer in module.modules():
        for name, parameter in layer.named_parameters(recurse=False):
            spared = isinstance(layer, (*_NORMS, nn.PReLU)) or name == "bias" or parameter.ndim < 2
            (free if spared else decayed).append(parameter)
    return [{"params": decayed, "weight_decay": weight_decay}, {"params": free, "weight_decay": 0.0}]
