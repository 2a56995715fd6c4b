"""A small machine that counts cycles.

A program is a list of bundles; a bundle is a list of operations that start in the same cycle:

    ["load", "x", 7]          x = memory[7]
    ["store", 7, "x"]         memory[7] = x
    ["xor", "v", "x", "k"]    v = x ^ k      (also: mul, shr; a number may stand for a register)

A bundle holds at most one load, one store and four arithmetic operations. All its operands are read before any
of its results is written. What is loaded can be used LOAD_LATENCY cycles later; a bundle that needs it sooner
waits, and so does everything behind it. Numbers have 32 bits.
"""

SLOTS = {"load": 1, "store": 1, "alu": 4}
LOAD_LATENCY = 3
ALU = {
    "xor": lambda a, b: a ^ b,
    "mul": lambda a, b: a * b & 0xFFFFFFFF,
    "shr": lambda a, b: a >> b,
}


def run(program, memory):
    """Run a program on a copy of the memory; return the memory after it and the cycles it took."""
    memory = list(memory)
    registers, ready, cycle = {}, {}, 0
    for number, bundle in enumerate(program):
        check(number, bundle)
        for name in operands(bundle):
            cycle = max(cycle, ready.get(name, 0))
        results = []
        for name, *arguments in bundle:
            if name == "load":
                results.append((arguments[0], memory[arguments[1]], LOAD_LATENCY))
            elif name == "store":
                results.append((arguments[0], value(registers, arguments[1]), None))
            else:
                a, b = (value(registers, each) for each in arguments[1:])
                results.append((arguments[0], ALU[name](a, b), 1))
        for target, result, latency in results:
            if latency is None:
                memory[target] = result
            else:
                registers[target] = result
                ready[target] = cycle + latency
        cycle += 1
    return memory, cycle


def operands(bundle):
    """The registers that a bundle reads or writes: none may have a load on its way."""
    return [each for operation in bundle for each in operation[1:] if isinstance(each, str)]


def value(registers, operand):
    """What an operand stands for."""
    return registers[operand] if isinstance(operand, str) else operand


def check(number, bundle):
    """Refuse a bundle with more operations of one kind than there are slots."""
    used = {}
    for name, *_ in bundle:
        kind = "alu" if name in ALU else name
        used[kind] = used.get(kind, 0) + 1
        if used[kind] > SLOTS[kind]:
            raise ValueError(f"bundle {number} has more than {SLOTS[kind]} operations for {kind}")
