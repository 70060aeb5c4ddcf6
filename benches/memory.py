"""Memory of a long training: the resident set after every epoch, on the drawn pictures at 16 pixels, 40 steps an epoch.

    python3 benches/memory.py target/release/glowworm [epochs]

On a software adapter the device's memory is the process's own, so that the figures hold both. Linux only.
"""

import re
import subprocess
import sys
import tempfile


def resident(pid: int) -> float:
    with open(f"/proc/{pid}/status") as status:
        return int(re.search(r"VmRSS:\s+(\d+)", status.read())[1]) / 1024


def main() -> None:
    glowworm, epochs = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 50
    with tempfile.TemporaryDirectory() as folder:
        options = ["--image-size", "16", "--batch-size", "12", "--epochs", str(epochs), "--checkpoint-every", "100"]
        command = [glowworm, "train", *options, "--no-report", "--out", f"{folder}/run"]
        training = subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, text=True)
        figures = []
        for line in training.stdout:
            if epoch := re.match(r"epoch (\d+)/", line):
                figures.append((40 * int(epoch[1]), resident(training.pid)))
        assert training.wait() == 0
    settled = [mebibytes for step, mebibytes in figures if step >= 100]
    for step, mebibytes in figures:
        print(f"{step:6} steps  {mebibytes:7.1f} MiB  {'#' * round(mebibytes / 5)}")
    print(f"from step 100 on: {min(settled):.1f} to {max(settled):.1f} MiB")


if __name__ == "__main__":
    main()
