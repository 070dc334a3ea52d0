/**
 * Contestants in processes of their own: real processes of a small question, bundled for Node.
 *
 * What is checked: each process has one contestant and begins anew, what it measured comes back
 * whole, and a process that fails or ends says why and is gone. Nothing is timed.
 */
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { SliceEffort } from '../../bench/support/contestant.ts';
import { ContestantProcess } from '../../bench/support/processes/contestant-process.ts';
import { servedContestant } from '../../bench/support/processes/contestant-server.ts';
import { makeTemporaryFolder, removeTemporaryFolder } from '../support/temporary-folder.ts';

const folder = makeTemporaryFolder();
const program = join(folder, 'question.mjs');
const endless: SliceEffort = { slice: Number.POSITIVE_INFINITY, warmUp: 0, warmUpRuns: 0 };

/** Notes say how often the process ran and which one it is. */
const question = `
  import { ask } from ${JSON.stringify(fileURLToPath(new URL('../../bench/support/question.ts', import.meta.url)))};
  let runs = 0;
  const note = () => runs + ' runs of ' + process.pid;
  const contestant = (name, run) => ({ name, kind: 'varve', open: () => ({ run, note }) });
  await ask({
    name: 'small',
    title: 'A small question',
    peers: true,
    sections: (quick) => [{
      title: quick ? 'quick' : 'full',
      shown: { by: 'average' },
      fresh: { processes: 1, runs: 1 },
      warm: { processes: 1, runsBefore: 1, rounds: 1, slice: 0, warmUp: 0 },
      contestants: [
        contestant('counting', () => void runs++),
        contestant('failing', () => { if (runs++ === 2) throw new Error('the third run fails'); }),
        contestant('dying', () => process.exit(3)),
        contestant('killed', () => new Promise(() => process.kill(process.pid, 'SIGKILL'))),
        { name: 'unopened', kind: 'varve', open: (own) => { throw new Error('no room in ' + own); } },
      ],
    }],
    goals: [],
  });
`;

beforeAll(async () => {
  await build({
    stdin: { contents: question, resolveDir: folder },
    bundle: true,
    platform: 'node',
    format: 'esm',
    outfile: program,
    external: ['fs-native-extensions'],
    logLevel: 'error',
  });
});

afterAll(() => removeTemporaryFolder(folder));

function processOf(contestant: string, section = 'full'): ContestantProcess {
  return new ContestantProcess(program, { section, contestant, quick: section === 'quick' });
}

/** Whether there is a process with this id. */
function lives(id: number): boolean {
  try {
    process.kill(id, 0);
    return true;
  } catch {
    return false;
  }
}

describe('a contestant in a process of its own', () => {
  it('sends back every sample, and its note when it is closed', async () => {
    const contestant = processOf('counting');
    await contestant.open(folder);
    const { times, rate } = await contestant.slice({ ...endless, samplesMax: 5 });
    expect(times).toHaveLength(5);
    expect(rate).toBeGreaterThan(0);
    await contestant.slice({ ...endless, warmUpRuns: 4, samplesMax: 1 });
    expect(await contestant.close()).toMatch(/^10 runs of \d+$/);
  });

  it('is new in each process, which is not this one and is gone afterwards', async () => {
    const ids = new Set<number>();
    for (const section of ['full', 'quick']) {
      const contestant = processOf('counting', section);
      await contestant.open(folder);
      await contestant.slice({ ...endless, samplesMax: 3 });
      const note = (await contestant.close()) ?? '';
      expect(note).toMatch(/^3 runs of /);
      ids.add(Number(note.split(' ').at(-1)));
    }
    expect(ids.size).toBe(2);
    expect(ids.has(process.pid)).toBe(false);
    expect([...ids].some(lives)).toBe(false);
  });

  it('says why it failed', async () => {
    const contestant = processOf('failing');
    await contestant.open(folder);
    const slice = contestant.slice({ ...endless, samplesMax: 5 });
    await expect(slice).rejects.toThrow('the third run fails');
    await expect(contestant.close()).rejects.toThrow('has ended');
    await expect(processOf('unopened').open('its folder')).rejects.toThrow('no room in its folder');
  });

  it('says how its process ended if that gave no reply', async () => {
    for (const [name, end] of [
      ['dying', 'code 3'],
      ['killed', 'SIGKILL'],
    ] as const) {
      const contestant = processOf(name);
      await contestant.open(folder);
      const slice = contestant.slice({ ...endless, samplesMax: 1 });
      await expect(slice, name).rejects.toThrow(`its process ended with ${end} during 'slice'`);
    }
  });
});

describe('the contestant that a process serves', () => {
  it('is named on the command line, and by nothing else', () => {
    const served = { section: 'full', contestant: 'counting', quick: false };
    const option = '--served-contestant';
    expect(servedContestant(['node', program, option, JSON.stringify(served)])).toEqual(served);
    expect(servedContestant(['node', program, '--quick'])).toBe(undefined);
  });
});
