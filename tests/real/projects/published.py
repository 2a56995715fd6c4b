"""The published projects: what a user does to set each of them up, and what candidates change in it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Edit:
    """One replacement in one file; a file without `old` is deleted."""

    path: str
    old: str = ""
    new: str = ""


@dataclass(frozen=True, slots=True)
class Published:
    """A project as published.

    `template` is what `git planner init` recognises, `tests` the number of tests that pass, and `metric` the
    one line of the policy that is edited, in place of '# metrics:'. `page` is the page of its language,
    `needs` are programs, `tools` is a folder of them that was fetched. Of the candidates, `broken` breaks a
    test, `weakened` edits one, `deleted` removes some, and `gain` is an improvement; `skipped` is committed
    to the base branch by a person.
    """

    name: str
    version: str
    page: str
    template: str
    tests: int
    metric: str
    broken: Edit
    weakened: Edit
    deleted: Edit
    skipped: Edit
    gain: Edit
    needs: tuple[str, ...] = ()
    tools: str = ""


PYASN1 = Published(
    "pyasn1",
    "0.6.1",
    "python",
    "unittest",
    1179,
    "metrics: [{name: calls, run: [python, '-c', 'import cProfile; from pyasn1.type import univ;"
    ' from pyasn1.codec.ber import encoder; cProfile.run("encoder.encode(univ.Integer(12))")\'],'
    " pattern: '(\\d+) function calls', better: lower}]",
    Edit("pyasn1/compat/integer.py", "length % 8 == 0", "length % 8 == 1"),
    Edit("tests/codec/ber/test_encoder.py", "== bytes((2, 1, 244))", "!= b''"),
    Edit("tests/type/test_univ.py"),
    Edit(
        "tests/codec/ber/test_encoder.py",
        "class IntegerEncoderTestCase(BaseTestCase):\n",
        "@unittest.skip('later')\nclass IntegerEncoderTestCase(BaseTestCase):\n",
    ),
    Edit(
        "pyasn1/compat/integer.py",
        "    length = max(value.bit_length(), length)\n",
        "    bits = value.bit_length()\n    length = bits if bits > length else length\n",
    ),
)
FASTIFY_ERROR = Published(
    "fastify-error",
    "4.3.0",
    "node",
    "node",
    36,
    "metrics: [{name: size, run: [npm, pack, '--dry-run', '--json'],"
    " pointer: /0/unpackedSize, better: lower}]",
    Edit("index.js", "code = code.toUpperCase()", "code = code.toLowerCase()"),
    Edit("test/index.test.js", "t.assert.equal(err.code, 'CODE')", "t.assert.ok(err.code)"),
    Edit("test/instanceof.test.js"),
    Edit(
        "test/index.test.js",
        "test('Create error with zero parameter',",
        "test.skip('Create error with zero parameter',",
    ),
    Edit(
        "index.js",
        """\
  if (shouldCreateFastifyGenericError) {
    Object.defineProperty(FastifyError, Symbol.hasInstance, {
      value (instance) {
        return instance && instance[FastifyGenericErrorSymbol]
      },
      configurable: false,
      writable: false,
      enumerable: false
    })
  } else {
    Object.defineProperty(FastifyError, Symbol.hasInstance, {
      value (instance) {
        return instance && instance[FastifySpecificErrorSymbol]
      },
      configurable: false,
      writable: false,
      enumerable: false
    })
  }
""",
        """\
  const symbol = shouldCreateFastifyGenericError ? FastifyGenericErrorSymbol : FastifySpecificErrorSymbol
  Object.defineProperty(FastifyError, Symbol.hasInstance, {
    value (instance) {
      return instance && instance[symbol]
    },
    configurable: false,
    writable: false,
    enumerable: false
  })
""",
    ),
    needs=("node", "npm"),
)
XXHASH = Published(
    "xxhash",
    "2.1.1",
    "go",
    "go",
    88,
    "metrics: [{name: instructions, run: [sh, '-c', 'go build -gcflags=-S . 2>&1 | wc -l'],"
    " pattern: '(\\d+)', better: lower}]",
    Edit("xxhash.go", "h ^= h >> 32", "h ^= h >> 31"),
    Edit("xxhash_test.go", "allocs > 0", "allocs > 9"),
    Edit("xxhash_unsafe_test.go"),
    Edit(
        "xxhash_test.go",
        "func TestAllocs(t *testing.T) {\n",
        'func TestAllocs(t *testing.T) {\n\tt.Skip("later")\n',
    ),
    Edit(
        "xxhash.go",
        """\
	if len(b) < len(magic) || string(b[:len(magic)]) != magic {
		return errors.New("xxhash: invalid hash state identifier")
	}
	if len(b) != marshaledSize {
		return errors.New("xxhash: invalid hash state size")
	}
""",
        """\
	if len(b) != marshaledSize || string(b[:len(magic)]) != magic {
		return errors.New("xxhash: invalid hash state")
	}
""",
    ),
    needs=("go",),
)
CRATE = Published(
    "unicode-normalization",
    "0.1.22",
    "rust",
    "cargo",
    14,
    "metrics: [{name: size, run: [cargo, package, '--locked', '--no-verify', '--allow-dirty'],"
    " reader: file-size, file: 'target/package/*.crate', better: lower}]",
    Edit("src/normalize.rs", "let t_index = s_index % T_COUNT;", "let t_index = s_index % V_COUNT;"),
    Edit("src/test.rs", 't!("abc", "abc");', ""),
    Edit(
        "src/normalize.rs",
        "    #[test]\n    fn test_hangul_composition() {",
        "    #[allow(dead_code)]\n    fn test_hangul_composition() {",
    ),
    Edit("src/test.rs", "#[test]\nfn test_nfkd() {", "#[test]\n#[ignore]\nfn test_nfkd() {"),
    Edit(
        "src/normalize.rs",
        "    let ti = si % T_COUNT;\n    if ti > 0 {\n        3\n    } else {\n        2\n    }\n",
        "    2 + (si % T_COUNT > 0) as usize\n",
    ),
    needs=("cargo", "rustc"),
)
CJSON = Published(
    "cjson",
    "1.7.15",
    "c",
    "ctest",
    19,
    "metrics: [{name: size, from: correctness, reader: file-size, file: build/CMakeFiles/cjson.dir/cJSON.c.o,"
    " better: lower}]",
    Edit("cJSON.c", "h = h << 4;", "h = h << 3;"),
    Edit("tests/parse_hex4.c", "    RUN_TEST(parse_hex4_should_parse_mixed_case);\n", ""),
    Edit("tests/parse_hex4.c"),
    Edit(
        "tests/CMakeLists.txt",
        "    add_dependencies(check ${unity_tests})\n",
        "    set_tests_properties(parse_hex4 PROPERTIES DISABLED TRUE)\n",
    ),
    Edit(
        "cJSON.c",
        """\
    static char version[15];
    sprintf(version, "%i.%i.%i", CJSON_VERSION_MAJOR, CJSON_VERSION_MINOR, CJSON_VERSION_PATCH);

    return version;
""",
        """\
    return "1.7.15";
""",
    ),
    needs=("cmake", "cc"),
)
HUMANIZE = Published(
    "humanize",
    "4.12.3",
    "python",
    "pytest",
    607,
    "metrics: [{name: calls, run: [env, PYTHONPATH=src, python, '-c', 'import cProfile, humanize;"
    ' cProfile.run("humanize.natural_list([1, 2, 3, 4])")\'],'
    " pattern: '(\\d+) function calls', better: lower}]",
    Edit("src/humanize/lists.py", "len(items) == 2", "len(items) == 3"),
    Edit("tests/test_lists.py", '([[""]], ""),\n', ""),
    Edit("tests/test_filesize.py"),
    Edit("tests/test_lists.py", "@pytest.mark.parametrize(", "@pytest.mark.skip\n@pytest.mark.parametrize("),
    Edit(
        "src/humanize/lists.py",
        '", ".join(str(item) for item in items[:-1])',
        '", ".join(map(str, items[:-1]))',
    ),
    tools="humanize-tools/bin",
)
QUOTE_STREAM = Published(
    "quote-stream",
    "1.0.2",
    "node",
    "tape",
    4,
    "metrics: [{name: size, run: [npm, pack, '--dry-run', '--json'],"
    " pointer: /0/unpackedSize, better: lower}]",
    Edit("index.js", "escapeN: Buffer('\\\\n')", "escapeN: Buffer('n')"),
    Edit("test/simple.js", "t.equal(body.toString('utf8'), '\"abc\"')", "t.ok(body)"),
    Edit("test/whitespace.js"),
    Edit("test/simple.js", "'\"abc\"')", "'\"abc\"', 'simple', { skip: true })"),
    Edit(
        "index.js",
        "        if (offset === 0) this.push(buf)\n        else this.push(buf.slice(offset));\n",
        "        this.push(buf.slice(offset));\n",
    ),
    needs=("node", "npm"),
)
PROJECTS = (HUMANIZE, QUOTE_STREAM, PYASN1, FASTIFY_ERROR, XXHASH, CRATE, CJSON)
