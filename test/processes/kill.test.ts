/**
 * Real processes that are killed: while they commit, 100 times on one file, and while they make the
 * file, before and after each operation. What a process was told is there for the next one; what it
 * was not told is there as a whole or not at all.
 *
 * A kill keeps the page cache, so this says nothing of power cuts; it is the real file system, the
 * real lock and the whole library as it is published.
 */

import { type ChildProcess, spawn } from 'node:child_process';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { GrainId, Store } from '../../src/index.ts';
import { Random } from '../model/random.ts';
import { makeTemporaryFolder, removeTemporaryFolder } from '../support/temporary-folder.ts';

const rounds = 100;
let folder: string;

beforeAll(() => {
  folder = makeTemporaryFolder();
});

afterAll(() => removeTemporaryFolder(folder));

function start(script: string, ...given: string[]): ChildProcess {
  const file = fileURLToPath(new URL(script, import.meta.url));
  return spawn(process.execPath, [file, ...given], { stdio: ['pipe', 'pipe', 'inherit'] });
}

/** Everything that a process says, and how it ended; `heard` is called for each line. */
function listen(
  child: ChildProcess,
  heard: (line: string) => void = () => undefined,
): Promise<{ lines: string[]; signal: NodeJS.Signals | null; code: number | null }> {
  return new Promise((resolve) => {
    const lines: string[] = [];
    let rest = '';
    child.stdout?.setEncoding('utf8').on('data', (text: string) => {
      const parts = (rest + text).split('\n');
      rest = parts.pop() ?? '';
      for (const line of parts) {
        lines.push(line);
        heard(line);
      }
    });
    child.on('close', (code, signal) => resolve({ lines, signal, code }));
  });
}

interface Pushed {
  readonly id: string;
  readonly length: number;
  readonly kind: number;
}

interface Intent {
  readonly intent: number;
  readonly pushed: readonly Pushed[];
  readonly archived: readonly string[];
  readonly checkpoint: number;
}

type Line = Intent | { readonly acknowledged: number; readonly batch: number };

/** What the file should hold, by what the processes have said. */
class Witness {
  readonly values = new Map<string, Pushed & { archivedIn: number | undefined }>();
  batch = 0;
  sessions = 0;

  /** Enters a session that was committed with `batch`. */
  enter({ pushed, archived, checkpoint }: Intent, batch: number): void {
    for (const value of pushed) this.values.set(value.id, { ...value, archivedIn: undefined });
    for (const id of archived) {
      const value = this.values.get(id);
      if (value !== undefined) value.archivedIn = batch;
    }
    for (const [id, { archivedIn }] of this.values) {
      if (archivedIn !== undefined && archivedIn <= checkpoint) this.values.delete(id);
    }
    this.batch = Math.max(this.batch, batch);
    this.sessions += 1;
  }

  get live(): string[] {
    return [...this.values.values()]
      .filter(({ archivedIn }) => archivedIn === undefined)
      .map(({ id }) => id);
  }

  expectIn(store: Store): void {
    expect(store.currentBatch).toBe(this.batch);
    expect(store.statistics().values).toBe(this.values.size);
    for (const { id, length, kind } of this.values.values()) {
      const bytes = store.get(GrainId.from(BigInt(id)));
      expect(bytes?.length).toBe(length);
      const wrong = bytes?.findIndex(
        (byte, at) => byte !== ((at * 31 + kind * 17 + (at >>> 8)) & 255),
      );
      expect(wrong).toBe(-1);
    }
  }
}

/** Enters what a process said; the sessions that it was not told of. */
function enterAcknowledged(witness: Witness, lines: readonly string[]): Intent[] {
  const intents = new Map<number, Intent>();
  const told: { intent: Intent; batch: number }[] = [];
  for (const text of lines) {
    const line = JSON.parse(text) as Line;
    if ('intent' in line) intents.set(line.intent, line);
    else {
      told.push({ intent: intents.get(line.acknowledged) as Intent, batch: line.batch });
      intents.delete(line.acknowledged);
    }
  }
  for (const { intent, batch } of told) witness.enter(intent, batch);
  return [...intents.values()];
}

/** The sessions of the last batch: each is there as a whole or not at all. */
async function enterInFlight(
  witness: Witness,
  store: Store,
  intents: readonly Intent[],
): Promise<void> {
  const batch = store.currentBatch;
  // Of the batch that it was told last it may not have been told for every session.
  expect([witness.batch, witness.batch + 1]).toContain(batch);
  const changed = new Set<string>();
  for await (const { changes } of store.commitLog({ after: batch - 1 })) {
    for (const { operation, id } of changes) changed.add(`${operation} ${id}`);
  }
  for (const intent of intents) {
    const ids = [
      ...intent.pushed.map(({ id }) => `allocate ${id}`),
      ...intent.archived.map((id) => `archive ${id}`),
    ];
    const there = ids.filter((id) => changed.has(id)).length;
    expect([0, ids.length]).toContain(there);
    if (there > 0) witness.enter(intent, batch);
  }
}

describe('a process that is killed', () => {
  it('while it commits leaves everything that it was told, and nothing in part', async () => {
    const path = join(folder, 'store');
    const random = new Random(2);
    const witness = new Witness();
    for (let round = 0; round < rounds; round++) {
      const child = start('writer.mjs', path, String(round + 1));
      child.stdin?.end(JSON.stringify(witness.live));
      let left = random.below(12);
      const { lines, signal } = await listen(child, (line) => {
        if (line.includes('acknowledged')) left -= 1;
        if (left < 0) child.kill('SIGKILL');
      });
      expect(signal).toBe('SIGKILL');
      const unsure = enterAcknowledged(witness, lines);
      const store = await Store.open(path, { readOnly: round % 2 === 0 });
      await enterInFlight(witness, store, unsure);
      witness.expectIn(store);
      for await (const finding of store.verify({ deep: round % 10 === 0 })) {
        expect(finding).toBe(undefined);
      }
      await store.close();
    }
    console.log(`kills: ${rounds}, batches: ${witness.batch}, sessions: ${witness.sessions}`);
    expect(witness.batch).toBeGreaterThan(rounds);
  }, 300_000);

  it.each(['before', 'after'])(
    '%s an operation of making the store leaves none or one',
    async (when) => {
      let kills = 0;
      for (let at = 0; ; at++) {
        const path = join(folder, `created-${when}-${at}`);
        const child = start('creator.mjs', path, String(at), when);
        const { lines, signal } = await listen(child);
        if (signal === null) {
          expect(lines).toEqual(['made']);
          break;
        }
        kills += 1;
        expect(signal).toBe('SIGKILL');
        const store = await Store.open(path);
        const { id } = await store.put(Uint8Array.of(1, 2, 3));
        expect(store.get(id)).toEqual(Uint8Array.of(1, 2, 3));
        for await (const finding of store.verify({ deep: true })) expect(finding).toBe(undefined);
        await store.close();
      }
      expect(kills).toBeGreaterThan(5);
    },
  );
});
