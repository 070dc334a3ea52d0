/**
 * Faults seeded into the engine on purpose: each is caught by the test that the list names.
 *
 * Some of them are tried in each run, chosen at random; VARVE_SEEDED_FAULTS tells which: `all`, or
 * their numbers with commas between. That each of these tests passes without its fault is for the
 * rest of the run to show. `vitest run test/seeded-faults --update` writes the table in README.md.
 */

import { existsSync, readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { fileURLToPath } from 'node:url';
import { Semaphore } from 'async-mutex';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Random } from '../support/random.ts';
import { makeTemporaryFolder, removeTemporaryFolder } from '../support/temporary-folder.ts';
import { faults } from './faults.ts';
import { processMilliseconds, runWithFault } from './runs/child-run.ts';
import type { Outcome } from './runs/outcome.ts';
import { type SeededFault, seeded } from './seeded-fault.ts';

const repository = new URL('../../', import.meta.url);
const tableBegins = '| | fault | in | caught by |\n';
const faultsMin = 36;
const sampleSize = 6;
const childrenMax = 2;
/** Longer than the faults in front of it in the queue can take. */
const turnMilliseconds = 2 * sampleSize * processMilliseconds;

function textOf(path: string): string {
  return readFileSync(new URL(path, repository), 'utf8');
}

function rowOf({ name, file, caughtBy }: SeededFault, at: number): string {
  const { file: path, test, assertion } = caughtBy;
  const by = assertion === undefined ? '' : `, by the assertion '${assertion}'`;
  const tests = test === undefined ? by : `: ${test}${by}`;
  return `| ${at + 1} | ${name} | ${file} | [${path}](../../${path})${tests} |\n`;
}

/** The numbers of the faults to be tried, from 1. */
function chosenNumbers(): number[] {
  // A run with a fault in it is one of the children, or somebody who looks what else catches it.
  if (process.env['VARVE_SEEDED_FAULT'] !== undefined) return [];
  const all = faults.map((_, at) => at + 1);
  const told = process.env['VARVE_SEEDED_FAULTS'];
  if (told === 'all') return all;
  if (told !== undefined) return told.split(',').map(Number);
  const random = new Random(Date.now());
  const chosen = new Set<number>();
  while (chosen.size < sampleSize) chosen.add(1 + random.below(faults.length));
  return [...chosen].sort((one, other) => one - other);
}

describe('the list of seeded faults', () => {
  it('has enough of them, each with a name of its own', () => {
    expect(faults.length).toBeGreaterThanOrEqual(faultsMin);
    expect(new Set(faults.map(({ name }) => name)).size).toBe(faults.length);
  });

  it('changes one place of one source for each', () => {
    for (const fault of faults) {
      const source = textOf(`src/${fault.file}`);
      expect(seeded(source, fault), fault.name).not.toBe(source);
    }
  });

  it('names tests that exist', () => {
    const absent = faults.filter(
      ({ caughtBy }) =>
        !caughtBy.file.endsWith('.test.ts') || !existsSync(new URL(caughtBy.file, repository)),
    );
    expect(absent).toEqual([]);
  });

  it('is the table in the README', async () => {
    const readme = textOf('test/seeded-faults/README.md');
    const [words = ''] = readme.split(tableBegins);
    const table = `${tableBegins}| ---: | --- | --- | --- |\n${faults.map(rowOf).join('')}`;
    const path = fileURLToPath(new URL('test/seeded-faults/README.md', repository));
    await expect(words + table).toMatchFileSnapshot(path);
  });
});

describe('the snippet of a fault', () => {
  const fault: SeededFault = {
    name: 'one',
    file: 'a.ts',
    find: 'x;',
    replace: '$&;',
    caughtBy: { file: '' },
  };

  it('is replaced as it is', () => {
    expect(seeded('a; x; b;', fault)).toBe('a; $&; b;');
  });

  it('has to stand in the source once', () => {
    expect(() => seeded('a; b;', fault)).toThrow("'one': its snippet stands not in src/a.ts");
    expect(() => seeded('x; x; x;', fault)).toThrow('stands 3 times in src/a.ts');
  });
});

const numbers = chosenNumbers();
const tried = numbers.map((number) => {
  const fault = faults[number - 1];
  if (fault === undefined) throw new Error(`there is no seeded fault ${number}`);
  return { number, fault };
});

/** Starts the children, a few at a time; what becomes of each. */
function runAll(folder: string): ReadonlyMap<number, Promise<Outcome>> {
  const outcomes = new Map<number, Promise<Outcome>>();
  const turns = new Semaphore(Math.min(childrenMax, availableParallelism()));
  for (const { number, fault } of tried) {
    const outcome = turns.runExclusive(() => runWithFault(number, fault.caughtBy, folder));
    // It is looked at when the turn of its own test comes.
    outcome.catch(() => undefined);
    outcomes.set(number, outcome);
  }
  return outcomes;
}

function tryFaults(): void {
  let folder: string;
  let outcomes: ReadonlyMap<number, Promise<Outcome>>;

  beforeAll(() => {
    console.log(`seeded faults: VARVE_SEEDED_FAULTS=${numbers.join(',')}`);
    folder = makeTemporaryFolder();
    outcomes = runAll(folder);
  });

  afterAll(() => removeTemporaryFolder(folder));

  it.each(tried.map(({ number, fault }) => [number, fault.name] as const))(
    '%i: %s',
    async (number) => {
      const outcome = await outcomes.get(number);
      expect(outcome?.caught, outcome?.words).toBe(true);
    },
    turnMilliseconds,
  );
}

if (numbers.length > 0) describe('a seeded fault is caught', tryFaults);
