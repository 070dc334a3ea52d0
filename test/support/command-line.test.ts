/** What a simulation says to a command line that is wrong, or asks for help. */

import { describe, expect, it } from 'vitest';
import { commandLine } from './command-line.ts';

const options = {
  seconds: { type: 'string', default: '60' },
  record: { type: 'boolean', default: false },
} as const;

function read(...args: string[]) {
  return commandLine(args, options, { help: 'the help', numbers: ['seconds'] });
}

describe('a command line', () => {
  it('gives the values of its options', () => {
    expect(read('--seconds', '5')).toEqual({ values: { seconds: '5', record: false } });
  });

  it.each(['--help', '-h'])('with %s gives the help text, whatever else it has', (asked) => {
    expect(read('--nonsense', asked)).toEqual({ text: 'the help', exitCode: 0 });
  });

  it.each([
    [['--nonsense'], /^Unknown option '--nonsense'; --help lists the options$/],
    [['5'], /^Unexpected argument '5'; --help/],
    [['--seconds'], /^Option '--seconds <value>' argument missing; --help/],
    [['--record=1'], /^Option '--record' does not take an argument; --help/],
    [['--seconds', 'ten'], /^Option '--seconds' takes a whole number, not 'ten'; --help/],
    [['--seconds='], /^Option '--seconds' takes a whole number, not ''; --help/],
  ])('that is %j gives one line and the exit code 2', (args, text) => {
    expect(read(...args)).toEqual({ text: expect.stringMatching(text), exitCode: 2 });
  });
});
