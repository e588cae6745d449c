/* Lists and objects as templates write them in attributes: JSON, or JavaScript literals.
 *
 *     ['Positive','Negative', 'Not Clear']      { text: 'None of the above' }
 *
 * Read by hand: an attribute may hold what a stranger wrote, so it is never evaluated. */

export type Literal = string | number | boolean | null | Literal[] | { [key: string]: Literal };

const DEPTH_MAX = 16;
const ESCAPES: Record<string, string> = { n: '\n', t: '\t', r: '\r', b: '\b', f: '\f', v: '\v', '0': '\0' };
const WORDS: Record<string, Literal> = { true: true, false: false, null: null, undefined: null };

class Reader {
  private at = 0;

  constructor(private text: string) {}

  whole(): Literal {
    const value = this.value(0);
    this.space();
    if (this.at < this.text.length) this.fail('more text after the end');
    return value;
  }

  private fail(what: string): never {
    throw new SyntaxError(`${what} at character ${this.at + 1}`);
  }

  private space(): void {
    while (/\s/.test(this.text[this.at] ?? '')) this.at++;
  }

  private take(char: string): boolean {
    this.space();
    if (this.text[this.at] !== char) return false;
    this.at++;
    return true;
  }

  private value(depth: number): Literal {
    if (depth > DEPTH_MAX) this.fail('nested too deep');
    this.space();
    const char = this.text[this.at] ?? '';
    if (char === '[') return this.list(depth);
    if (char === '{') return this.object(depth);
    if (char === "'" || char === '"' || char === '`') return this.string();
    const word = /^[-+\w.$]+/.exec(this.text.slice(this.at))?.[0];
    if (!word) return this.fail(char ? `unexpected '${char}'` : 'a value is missing');
    this.at += word.length;
    if (Object.hasOwn(WORDS, word)) return WORDS[word]!;
    const number = Number(word);
    if (Number.isNaN(number)) this.fail(`'${word}' is not a value`);
    return number;
  }

  private list(depth: number): Literal[] {
    const items: Literal[] = [];
    this.at++;
    while (!this.take(']')) {
      items.push(this.value(depth + 1));
      if (!this.take(',') && this.peek() !== ']') this.fail("',' or ']' is missing");
    }
    return items;
  }

  private object(depth: number): Literal {
    const entries: [string, Literal][] = [];
    this.at++;
    while (!this.take('}')) {
      const key = this.key();
      if (!this.take(':')) this.fail("':' is missing");
      entries.push([key, this.value(depth + 1)]);
      if (!this.take(',') && this.peek() !== '}') this.fail("',' or '}' is missing");
    }
    return Object.fromEntries(entries);
  }

  private key(): string {
    const char = this.peek();
    if (char === "'" || char === '"') return this.string();
    const word = /^[\w$-]+/.exec(this.text.slice(this.at))?.[0];
    if (!word) return this.fail('a name is missing');
    this.at += word.length;
    return word;
  }

  private peek(): string {
    this.space();
    return this.text[this.at] ?? '';
  }

  private string(): string {
    const quote = this.text[this.at++];
    let out = '';
    for (;;) {
      const char = this.text[this.at++];
      if (char === undefined) return this.fail('the string does not end');
      if (char === quote) return out;
      out += char === '\\' ? this.escape() : char;
    }
  }

  private escape(): string {
    const char = this.text[this.at++] ?? '';
    const digits = char === 'u' ? 4 : char === 'x' ? 2 : 0;
    if (digits === 0) return ESCAPES[char] ?? char;
    const hex = this.text.slice(this.at, this.at + digits);
    if (!/^[0-9a-f]+$/i.test(hex) || hex.length < digits) this.fail('a broken escape');
    this.at += digits;
    return String.fromCharCode(parseInt(hex, 16));
  }
}

/** Throws a SyntaxError that says where. */
export function parseLiteral(text: string): Literal {
  return new Reader(text).whole();
}

/** A list of names; numbers become text. */
export function parseNames(text: string): string[] {
  const value = parseLiteral(text);
  if (!Array.isArray(value)) throw new SyntaxError('not a list');
  return value.map((item) => {
    if (typeof item === 'string') return item;
    if (typeof item === 'number' || typeof item === 'boolean') return String(item);
    throw new SyntaxError('a list of texts is expected');
  });
}
