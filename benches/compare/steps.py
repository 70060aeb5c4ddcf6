# /// script
# requires-python = ">=3.10, <3.14"
# dependencies = ["tensorflow-cpu==2.21.0", "keras==3.15.0", "torch==2.15.0", "numpy"]
# ///
"""Training steps and inference batches of the reference network: glowworm beside Keras, PyTorch and burn on one machine.

    uv run benches/compare/steps.py GLOWWORM [--image-size 64 256] [--rounds 5] [--burn PROGRAM...]

GLOWWORM is the program. In every round each has its turn; a figure is the median over the rounds of each one's
own medians, a ratio the median of the rounds' ratios, since machines drift. Random pictures, batch 32, 3 classes, f32;
flips and rotations are part of the step (not of PyTorch's and burn's), decoding is not. Keras and PyTorch each run in
a process of their own (both bring an LLVM, and two do not get on), which waits while others have their turn;
`--python-keras` and `--python-torch` name other interpreters for them. Which is not installed is left out. PyTorch
runs on the GPU if it finds one: then with TF32 off and on, and with CUDA graphs. burn's turn is a PROGRAM that is given
the image size and the number of steps, and prints a JSON line of {"training step": ms, "inference": ms}, as burn/ here
does; several may differ in their backends, and are called by their files' names. Prints Markdown.
"""
import argparse, json, os, statistics, subprocess, sys, time

from networks import CLASSES, keras_network, torch_network

parser = argparse.ArgumentParser()
parser.add_argument("glowworm"), parser.add_argument("--image-size", type=int, nargs="+", default=[64, 256])
parser.add_argument("--rounds", type=int, default=5), parser.add_argument("--steps", type=int, default=9)
parser.add_argument("--burn", metavar="PROGRAM", nargs="+", default=[])
parser.add_argument("--python-keras", default=sys.executable), parser.add_argument("--python-torch", default=sys.executable)
parser.add_argument("--peer", choices=["keras", "torch"], help=argparse.SUPPRESS)
args = parser.parse_args()
BATCH = 32


def milliseconds(step):
    """The median of some steps, after one that warms up."""
    step()
    times = []
    for _ in range(args.steps):
        start = time.perf_counter()
        step()
        times.append((time.perf_counter() - start) * 1e3)
    return statistics.median(times)


def keras_steps(side):
    """By name: a training step and an inference batch."""
    import numpy, tensorflow

    model = keras_network(side)
    pictures = (numpy.random.rand(BATCH, side, side, 3) * 255).astype("float32")
    labels = numpy.eye(CLASSES, dtype="float32")[numpy.arange(BATCH) % CLASSES]
    x, y = tensorflow.constant(pictures), tensorflow.constant(labels)
    predict = tensorflow.function(lambda batch: model(batch, training=False))
    return {"Keras": (lambda: model.train_on_batch(x, y), lambda: predict(x).numpy())}


def torch_steps(side):
    """By name: a training step and an inference batch in channels_last."""
    import torch

    device = "cuda" if torch.cuda.is_available() else "cpu"
    wait = torch.cuda.synchronize if device == "cuda" else (lambda: None)

    def steps(tf32, graphs):
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = tf32
        net = torch_network(side).to(device, memory_format=torch.channels_last)
        x = torch.rand(BATCH, 3, side, side, device=device).contiguous(memory_format=torch.channels_last)
        y = torch.arange(BATCH, device=device) % CLASSES
        optimizer = torch.optim.Adam(net.parameters(), 1e-3, capturable=graphs)
        loss = torch.nn.CrossEntropyLoss()

        def step():
            optimizer.zero_grad(set_to_none=False)
            loss(net(x), y).backward()
            optimizer.step()

        run = step
        if graphs:
            stream = torch.cuda.Stream()
            stream.wait_stream(torch.cuda.current_stream())  # What the steps read is still being made there.
            with torch.cuda.stream(stream):
                for _ in range(3):
                    step()
            torch.cuda.current_stream().wait_stream(stream)
            graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(graph):
                step()
            # The graph reads the step's tensors, and keeps none of them alive.
            run = lambda step=step: graph.replay()

        def infer():
            net.eval()
            with torch.inference_mode():
                torch.softmax(net(x), 1).cpu()
            net.train()

        def with_mode(step):
            # The switch is the process's, and each of these steps wants its own.
            torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = tf32
            step(), wait()

        return lambda: with_mode(run), lambda: with_mode(infer)

    if device == "cpu":
        return {"PyTorch": steps(False, False)}
    return {
        "PyTorch, fp32": steps(False, False),
        "PyTorch, TF32": steps(True, False),
        "PyTorch, fp32, CUDA graph": steps(False, True),
        "PyTorch, TF32, CUDA graph": steps(True, True),
    }


def work():
    """A peer's own process: a line when it is ready, then one of measured milliseconds for each line that it reads."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # What libraries print is no answer.
    say = lambda what: print(json.dumps(what), file=answers, flush=True)
    try:
        steps = (keras_steps if args.peer == "keras" else torch_steps)(args.image_size[0])
    except ImportError as error:
        return say({"missing": str(error)})
    for pair in steps.values():
        for step in pair:
            step()
    say({"ready": list(steps)})
    for _ in sys.stdin:
        say({name: [milliseconds(step) for step in pair] for name, pair in steps.items()})


class Peer:
    """A process that works, between its turns it waits."""

    def __init__(self, name, python, side):
        command = [python, __file__, args.glowworm, "--peer", name, "--image-size", str(side), "--steps", str(args.steps)]
        environment = {"TF_CPP_MIN_LOG_LEVEL": "3", **os.environ}
        self.process = subprocess.Popen(
            command, env=environment, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        answer = self.answer()
        self.is_missing = "missing" in answer
        if self.is_missing:
            print(f"{name} is left out: {answer['missing']}", file=sys.stderr)

    def answer(self):
        line = self.process.stdout.readline()
        return json.loads(line) if line else sys.exit(f"{self.process.args} ended")

    def turn(self):
        print(file=self.process.stdin, flush=True)
        return self.answer()

    def end(self):
        self.process.stdin.close()
        self.process.wait()


def burn(program, side):
    command = [program, str(side), str(args.steps)]
    figures = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    return {os.path.basename(program): (figures["training step"], figures["inference"])}


def glowworm(side):
    options = ["--task", "training", "--task", "inference", "--repeats", str(args.steps), "--steps-only", "--json"]
    command = [args.glowworm, "bench", "--image-size", str(side), *options]
    plans = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)["plans"]
    seconds = {plan["plan"]: plan["seconds"] for plan in plans}
    return seconds["training step"] * 1e3, seconds["inference"] * 1e3


def compare(side):
    """Prints the lines of an image size."""
    peers = [Peer("keras", args.python_keras, side), Peer("torch", args.python_torch, side)]
    turns = [peer.turn for peer in peers if not peer.is_missing]
    turns += [lambda program=program: burn(program, side) for program in args.burn]
    rounds = []
    for _ in range(args.rounds):
        ours, theirs = glowworm(side), {}
        for turn in turns:
            theirs |= turn()
        rounds.append((ours, theirs))
    for peer in peers:
        peer.end()
    for index, what in enumerate(["training step", "inference"]):
        ours = [of[index] for of, _ in rounds]
        for name in rounds[0][1]:
            theirs = [of[name][index] for _, of in rounds]
            ratio = statistics.median(a / b for a, b in zip(ours, theirs))
            figures = f"{statistics.median(ours):.2f} | {statistics.median(theirs):.2f} | {ratio:.2f}"
            print(f"| {what}, {side}×{side} | {name} | {figures} |", flush=True)


if args.peer:
    work()
    sys.exit()
print("| | beside | glowworm, ms | its, ms | ratio |")
print("|---|---|---|---|---|")
for side in args.image_size:
    compare(side)
