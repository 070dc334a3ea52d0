/**
 * The byte tables of `spec/format.md`, read from its text.
 *
 * A table belongs to the caption in bold above it (`**Seal** (32 bytes)`). So the dump can be
 * annotated by what the spec says and the tests can hold the spec against the code: a table that
 * is wrong shows. It knows nothing of the format itself.
 */

/** One row of a byte table. */
export interface SpecField {
  /** From the start of the structure; undefined for what stands after a list. */
  readonly offset: number | undefined;
  /** Bytes, of one entry where it is a list; undefined where they are not a number. */
  readonly size: number | undefined;
  /** Where it goes to, from the start of the structure, if the size cell says that instead. */
  readonly until: number | undefined;
  /** The field that has its size, if the size cell names one. */
  readonly sizeField: string | undefined;
  /** A list of entries. */
  readonly each: boolean;
  readonly type: string;
  readonly name: string;
}

export interface SpecTable {
  readonly name: string;
  /** Bytes that the caption gives: without the lists at the end, where there are some. */
  readonly bytes: number;
  readonly fields: readonly SpecField[];
}

const oneOf: Readonly<Record<string, string>> = { bodies: 'body', strata: 'stratum' };

/** The field that says how many entries a list has: `segments` has its `segment count`. */
export function countFieldOf(list: string): string {
  return `${oneOf[list] ?? list.replace(/s$/, '')} count`;
}

const caption = /^\*\*(.+?)\*\* \((\d+) bytes/;

/** Every byte table of the text, by its name in lower case. */
export function specTables(markdown: string): Map<string, SpecTable> {
  const tables = new Map<string, SpecTable>();
  const lines = markdown.split('\n');
  for (const [at, line] of lines.entries()) {
    const [, name, bytes] = caption.exec(line) ?? [];
    if (name === undefined) continue;
    const fields = rowsAfter(lines, at).map(fieldOf);
    tables.set(name.toLowerCase(), { name, bytes: Number(bytes), fields });
  }
  return tables;
}

/** The cells of each row of the next table from a line on. */
export function rowsAfter(lines: readonly string[], from: number): string[][] {
  const head = lines.findIndex((line, at) => at >= from && /^\| -+/.test(line));
  if (head < 0) throw new Error(`no table follows line ${from + 1}`);
  const rows = lines.slice(head + 1);
  const end = rows.findIndex((line) => !line.startsWith('|'));
  return rows.slice(0, end < 0 ? rows.length : end).map((row) =>
    row
      .slice(1, row.lastIndexOf('|'))
      .split('|')
      .map((cell) => cell.trim()),
  );
}

/** `6`, `10 each`, `each`, `to 508`, or the name of the field that says it. */
const sizeCell = /^(?:to (?<until>\d+)|(?<bytes>\d+)? ?(?<each>each)?|(?<field>[a-z]+))$/;

function fieldOf(cells: string[]): SpecField {
  const [offset = '', size = '', type = '', name = ''] = cells;
  const parts = sizeCell.exec(size)?.groups ?? {};
  return {
    offset: offset === 'then' ? undefined : Number(offset),
    size: numberOf(parts['bytes']),
    until: numberOf(parts['until']),
    sizeField: parts['field'],
    each: parts['each'] !== undefined,
    type,
    name,
  };
}

function numberOf(text: string | undefined): number | undefined {
  return text === undefined ? undefined : Number(text);
}
