/**
 * One fault that is seeded into the engine on purpose: what is done wrongly, which snippet of a
 * source becomes which, and the test that must notice.
 *
 * Invariant of a list of them: a snippet stands exactly once in its file, so that a fault is one
 * place in the engine. Nothing here touches a file.
 */

export interface SeededFault {
  /** A sentence that says what is done wrongly. */
  readonly name: string;
  /** Path under `src`. */
  readonly file: string;
  readonly find: string;
  readonly replace: string;
  readonly caughtBy: {
    /** Path of a test file in the repository. */
    readonly file: string;
    /** The name of a test in it, with those of the `describe` around it; all of them without. */
    readonly test?: string;
    /** Words of the assertion of the engine that must have failed in the test. */
    readonly assertion?: string;
  };
}

/** A snippet of several lines. */
export function lines(...text: readonly string[]): string {
  return text.join('\n');
}

/** The source with the fault in it. Throws where the snippet does not stand there exactly once. */
export function seeded(source: string, { name, file, find, replace }: SeededFault): string {
  const [before, after, ...others] = source.split(find);
  if (before !== undefined && after !== undefined && others.length === 0) {
    return before + replace + after;
  }
  const times = after === undefined ? 'not' : `${1 + others.length} times`;
  throw new Error(`seeded fault '${name}': its snippet stands ${times} in src/${file}`);
}
