/**
 * Reads TypeScript source just closely enough for the structure tests: which characters are code,
 * and what a file imports.
 *
 * Invariant: masked text has the length and the line breaks of the original, so a position in one
 * is a position in the other. It is a scanner, not a parser: it knows comments, strings, templates
 * and regular expressions, and guesses a regular expression from what stands before its slash.
 */

/** One file of the project; `path` is relative to the repository, with forward slashes. */
export interface SourceFile {
  readonly path: string;
  readonly text: string;
}

export interface ImportOf {
  /** What stands between the quotes; `undefined` where it is computed. */
  readonly specifier: string | undefined;
  /** `type` disappears when compiled, `dynamic` loads later or is an `import('…')` type. */
  readonly kind: 'static' | 'type' | 'dynamic';
  /** The statement hands names on: `export … from`. */
  readonly reExport: boolean;
  /** From 1. */
  readonly line: number;
  /** Where the statement begins and ends, for taking it out of the text. */
  readonly start: number;
  readonly end: number;
}

/** Words after which a slash begins a regular expression, though they end like an identifier. */
const wordsBeforeRegex =
  /\b(?:return|typeof|case|in|of|delete|void|throw|new|else|do|await|yield)$/;

/** The text with the inside of comments, strings, templates and regular expressions blanked. */
export function maskSource(text: string): string {
  const masked = text.split('');
  /** For each template that is open, how many braces are open inside its current `${`. */
  const openTemplates: number[] = [];
  let position = 0;

  const blank = (start: number, end: number): void => {
    for (let i = start; i < end; i++) if (masked[i] !== '\n') masked[i] = ' ';
  };
  /** From behind a backtick or a closing brace to the next `${`, or behind the last backtick. */
  const skipTemplateText = (start: number): number => {
    let end = start;
    while (end < text.length && text[end] !== '`' && !text.startsWith('${', end)) {
      end += text[end] === '\\' ? 2 : 1;
    }
    blank(start, Math.min(end, text.length));
    if (text[end] !== '$') return end + 1;
    openTemplates.push(0);
    return end + 2;
  };

  while (position < text.length) {
    const character = text[position] as string;
    const innermost = openTemplates.length - 1;
    if (character === '/' && /[/*]/.test(text[position + 1] ?? '')) {
      const end = commentEnd(text, position);
      blank(position, end);
      position = end;
    } else if (character === "'" || character === '"') {
      const end = literalEnd(text, position, character);
      blank(position + 1, end - 1);
      position = end;
    } else if (character === '/' && beginsRegex(masked, position)) {
      const end = literalEnd(text, position, '/');
      blank(position + 1, end - 1);
      position = end;
    } else if (character === '`') {
      position = skipTemplateText(position + 1);
    } else if (character === '}' && openTemplates[innermost] === 0) {
      openTemplates.pop();
      position = skipTemplateText(position + 1);
    } else {
      if (innermost >= 0 && character === '{') openTemplates[innermost] = at(openTemplates) + 1;
      if (innermost >= 0 && character === '}') openTemplates[innermost] = at(openTemplates) - 1;
      position++;
    }
  }
  return masked.join('');
}

/** Everything that a file imports or re-exports, in the order of the text. */
export function importsOf(text: string): ImportOf[] {
  const code = maskSource(text);
  const found: ImportOf[] = [];
  // The inside of a string is blanks of the same length, so the quotes still pair up in `code`.
  const patterns = [
    /\b(?<keyword>import|export)\b(?<clause>[\w$\s{},*]*?)\bfrom\s*(?<literal>(['"])[ ]*\4)/g,
    /\b(?<keyword>import)\s*(?<literal>(['"])[ ]*\3)/g,
    /(?<![.\w$])(?<keyword>import|require)\s*\(\s*(?:(?<literal>(['"])[ ]*\3)\s*[,)])?/g,
  ];
  for (const [index, pattern] of patterns.entries()) {
    for (const match of code.matchAll(pattern)) {
      const { keyword, clause, literal } = match.groups as Record<string, string | undefined>;
      const start = match.index;
      const end = start + match[0].length;
      const quote = literal === undefined ? 0 : start + match[0].lastIndexOf(literal);
      const isType = /^\s*type\s+[\w$*{]/.test(clause ?? '');
      found.push({
        specifier:
          literal === undefined ? undefined : text.slice(quote + 1, quote + literal.length - 1),
        kind: index === 2 ? 'dynamic' : isType ? 'type' : 'static',
        reExport: keyword === 'export',
        line: lineAt(text, start),
        start,
        end,
      });
    }
  }
  return found.sort((a, b) => a.start - b.start);
}

/** The line, from 1, that holds a position. */
export function lineAt(text: string, position: number): number {
  return text.slice(0, position).split('\n').length;
}

function at(depths: readonly number[]): number {
  return depths.at(-1) ?? 0;
}

function commentEnd(text: string, start: number): number {
  const isLine = text[start + 1] === '/';
  const end = isLine ? text.indexOf('\n', start) : text.indexOf('*/', start + 2) + 2;
  return end < start + 2 ? text.length : end;
}

/** Behind the closing quote, or slash outside a class; a literal ends with its line at the latest. */
function literalEnd(text: string, start: number, quote: string): number {
  let insideClass = false;
  for (let end = start + 1; end < text.length; end++) {
    const character = text[end];
    if (character === '\\') end++;
    else if (character === '\n') return end;
    else if (quote === '/' && character === '[') insideClass = true;
    else if (quote === '/' && character === ']') insideClass = false;
    else if (character === quote && !insideClass) return end + 1;
  }
  return text.length;
}

function beginsRegex(masked: readonly string[], slash: number): boolean {
  const before = masked
    .slice(Math.max(0, slash - 200), slash)
    .join('')
    .trimEnd();
  return before === '' || wordsBeforeRegex.test(before) || !/[\w$)\]}'"`]$/.test(before);
}
