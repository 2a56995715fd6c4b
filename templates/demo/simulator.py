"""A small machine that counts cycles.

A program is a list of bundles; a bundle is a list of operations that start in the same cycle:

    ["load", "x", 7]          x = memory[7]
    ["store", 7, "x"]         memory[7] = x
    ["xor", "v", "x", "k"]    v = x ^ k      (also: mul, shr; a number may stand for a register)

A bundle holds at most one load, one store and four arithmetic operations. All its operands are read before any
of its results is written. A loaded value can be used LOAD_LATENCY cycles later; a bundle that needs it sooner
waits, and so do all bundles behind it. Numbers have 32 bits.
"""

SLOTS = {"load": 1, "store": 1, "alu": 4}
LOAD_LATENCY = 3
ALU = {
    "xor": lambda a, b: a ^ b,
    "mul": lambda a, b: a * b & 0xFFFFFFFF,
    "shr": lambda a, b: a >> b,
}


def run(program, memory):
    """Run a program on a copy of the memory; return the resulting memory and the number of cycles."""
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
                a, b = (value(registers, operand) for operand in arguments[1:])
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
    """Return the registers that a bundle reads or writes: it waits for pending loads of any of them."""
    return [operand for operation in bundle for operand in operation[1:] if isinstance(operand, str)]


def value(registers, operand):
    """Return the value of an operand: a register's content or a number."""
    return registers[operand] if isinstance(operand, str) else operand


def check(number, bundle):
    """Refuse a bundle with more operations of one kind than there are slots."""
    used = {}
    for name, *_ in bundle:
        kind = "alu" if name in ALU else name
        used[kind] = used.get(kind, 0) + 1
        if used[kind] > SLOTS[kind]:
            raise ValueError(f"bundle {number} has more than {SLOTS[kind]} operations for {kind}")
