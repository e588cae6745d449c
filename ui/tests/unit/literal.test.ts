/* What templates write in attributes is read as it is meant, and never run. */
import { expect, test } from 'vitest';
import { parseLiteral, parseNames } from '../../crowd/literal';

test('lists as templates write them', () => {
  const cases: [string, string[]][] = [
    ["['Positive','Negative', 'Not Clear']", ['Positive', 'Negative', 'Not Clear']],
    ['["a", "b"]', ['a', 'b']],
    ['[`a`, "it\'s", \'say "x"\',]', ['a', "it's", 'say "x"']],
    [" [ 'a\\'b' , '\\u00e9\\x41\\n\\\\' ] ", ["a'b", 'éA\n\\']],
    ["[1, 2.5, -3, true]", ['1', '2.5', '-3', 'true']],
    ['[]', []],
    ["['ünïcode 🙂']", ['ünïcode 🙂']],
  ];
  for (const [text, names] of cases) expect(parseNames(text), text).toEqual(names);
});

test('objects', () => {
  expect(parseLiteral("{ text: 'None of the above' }")).toEqual({ text: 'None of the above' });
  expect(parseLiteral('{"a": [1, {b: null}], \'c-d\': false,}')).toEqual({ a: [1, { b: null }], 'c-d': false });
  const odd = parseLiteral('{__proto__: {x: 1}}') as Record<string, unknown>;
  expect(Object.getPrototypeOf(odd)).toBe(Object.prototype);
  expect(Object.keys(odd)).toEqual(['__proto__']);
});

test('what is no literal is refused, with the place', () => {
  const cases = [
    '', '[', "['a'", "['a' 'b']", "['a]", '[alert(1)]', '[a]', '{a}', "{a 'b'}", '[1] x', "['\\u12']", '[,]', '[[]',
    '['.repeat(40) + ']'.repeat(40),
  ];
  for (const text of cases) expect(() => parseLiteral(text), text).toThrow(SyntaxError);
  for (const text of ["{a: 'b'}", "'a'", "[['a']]", '[null]']) expect(() => parseNames(text), text).toThrow(SyntaxError);
});
