/**
 * The command line of a simulation: its options, the help text, and what is wrong with it.
 *
 * Invariant: reading it changes nothing; only `show` prints, and sets the exit code.
 */

import { type ParseArgsConfig, parseArgs } from 'node:util';

type OptionsConfig = NonNullable<ParseArgsConfig['options']>;
type Values<T extends OptionsConfig> = ReturnType<typeof parseArgs<{ options: T }>>['values'];

/** The values of the options, or a text that is to be shown before the program ends. */
export type CommandLine<T extends OptionsConfig> =
  | { readonly values: Values<T> }
  | { readonly text: string; readonly exitCode: 0 | 2 };

/** `numbers`: the options whose values are whole numbers. */
export function commandLine<T extends OptionsConfig>(
  args: readonly string[],
  options: T,
  { help, numbers }: { readonly help: string; readonly numbers: readonly (keyof T & string)[] },
): CommandLine<T> {
  if (args.includes('--help') || args.includes('-h')) return { text: help, exitCode: 0 };
  let values: Values<T>;
  try {
    values = parseArgs<{ args: string[]; options: T }>({ args: [...args], options })
      .values as Values<T>;
  } catch (error) {
    // Its further sentences are about options that this program does not have.
    return refused(firstSentence((error as Error).message));
  }
  for (const name of numbers) {
    const value = (values as Record<string, unknown>)[name];
    if (value === undefined || /^\d+$/.test(String(value))) continue;
    return refused(`Option '--${name}' takes a whole number, not '${value}'`);
  }
  return { values };
}

function firstSentence(text: string): string {
  return text.split(/\.? *\n|\. /)[0] as string;
}

/** A refusal of one line. */
export function refused(what: string): { readonly text: string; readonly exitCode: 2 } {
  return { text: `${what}; --help lists the options`, exitCode: 2 };
}

export function show({
  text,
  exitCode,
}: {
  readonly text: string;
  readonly exitCode: 0 | 2;
}): void {
  if (exitCode === 0) console.log(text);
  else console.error(text);
  process.exitCode = exitCode;
}
