"""Builds a wheel that is laid out for what a server does most (profile-guided optimisation).

    python benches/guided/build.py --out dist [--install]

A first build counts what is run while it serves the traffic of `training.py`; a second one places what is run often
together and what is not elsewhere. That is worth it here because a request's code barely fits the processor's
instruction cache. Needs `maturin` beside the interpreter, and `llvm-profdata` of the Rust toolchain
(`rustup component add llvm-tools`, which is tried); without it the wheel is built plainly, and this says so.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TRAINING = Path(__file__).with_name("training.py")
TARGET = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "guided"
TRAINING_TIMEOUT = 300


def run(*command: str | Path, **env: str) -> None:
    """Run a command, in the repository; its failure is ours."""
    try:
        subprocess.run(command, check=True, cwd=ROOT, env={**os.environ, **env})
    except (OSError, subprocess.CalledProcessError) as error:
        raise SystemExit(f"{error}") from None


def output(*command: str) -> str:
    """What a command prints."""
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


def profdata(host: str) -> Path | None:
    """The toolchain's `llvm-profdata`: another one may not read what this compiler writes."""
    tool = Path(output("rustc", "--print", "sysroot").strip(), "lib", "rustlib", host, "bin", "llvm-profdata")
    if not tool.exists() and shutil.which("rustup"):
        subprocess.run(["rustup", "component", "add", "llvm-tools"], check=False)
    return tool if tool.exists() else None


def build(out: Path, host: str, name: str, flags: str) -> Path:
    """Build a wheel for this interpreter with flags for the compiler."""
    maturin = Path(sys.executable).with_name("maturin")
    run(
        maturin if maturin.exists() else "maturin",
        *("build", "--quiet", "--release", "--target", host),
        *("--interpreter", sys.executable, "--out", str(out)),
        RUSTFLAGS=f"{os.environ.get('RUSTFLAGS', '')} {flags}".strip(),
        CARGO_TARGET_DIR=str(TARGET / name),
    )
    return max(out.glob("bustapi-*.whl"), key=lambda wheel: wheel.stat().st_mtime)


def train(wheel: Path, folder: Path, seconds: float) -> Path:
    """Serve with an instrumented wheel; returns the folder of the profiles."""
    profiles = folder / "profiles"
    venv.create(folder / "venv", with_pip=True)
    python = folder / "venv" / "bin" / "python"
    run(python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", wheel)
    try:
        subprocess.run(
            [python, TRAINING, "--seconds", str(seconds)],
            check=True,
            timeout=TRAINING_TIMEOUT,
            env={**os.environ, "LLVM_PROFILE_FILE": str(profiles / "%p.profraw")},
        )
    except subprocess.SubprocessError as error:
        raise SystemExit(f"the training failed: {error}") from None
    return profiles


def main() -> None:
    """Build, train, and build again."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=ROOT / "dist", help="folder of the wheel")
    parser.add_argument("--install", action="store_true", help="install it for this interpreter")
    parser.add_argument("--seconds", type=float, default=20.0, help="of the training")
    options = parser.parse_args()
    host = next(line for line in output("rustc", "-vV").splitlines() if line.startswith("host: "))[6:]
    tool = profdata(host)
    if tool is None:
        print("built without a profile: there is no llvm-profdata (rustup component add llvm-tools)")
        wheel = build(options.out.resolve(), host, "optimised", "")
    else:
        with tempfile.TemporaryDirectory() as temporary:
            folder = Path(temporary)
            print("1 of 3: a build that counts", flush=True)
            # Where the profile goes unless the training says so: what runs while building leaves nothing here.
            counting = f"-Cprofile-generate={folder / 'stray'}"
            instrumented = build(folder / "wheels", host, "instrumented", counting)
            print("2 of 3: training", flush=True)
            profiles = train(instrumented, folder, options.seconds)
            merged = TARGET / "bustapi.profdata"
            run(tool, "merge", "-o", merged, profiles)
            print("3 of 3: the build", flush=True)
            wheel = build(options.out.resolve(), host, "optimised", f"-Cprofile-use={merged}")
    print(wheel)
    if options.install:
        pip = (sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check")
        run(*pip, "--force-reinstall", "--no-deps", wheel)
        run(*pip, wheel)


if __name__ == "__main__":
    main()
