/**
 * `npm run bench -- file-size`: bytes on the disk for each byte of value, after loading values of
 * lognormal length (median 200 bytes, sigma 1.5, at most 64 KiB), and after rounds of deleting half
 * of them at random and inserting as many bytes anew; 1,000 values a commit.
 *
 * varve once with each commit moving the checkpoint, so that no history is kept, and once keeping
 * all of it. Sizes are those of the whole folder. Trees of sorted runs are not told to compact:
 * closing leaves them as their own threads have them.
 */

import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { type GrainId, type Session, Store } from '../src/index.ts';
import type { Bar } from './support/answer.ts';
import { Dice } from './support/atlas-bed.ts';
import { bytesText, countText, tableText, threeDigits } from './support/figures.ts';
import { folderBytes } from './support/folder-bytes.ts';
import { Payload } from './support/payload.ts';
import { installedPeers } from './support/peers/installed-peers.ts';
import type { Peer } from './support/peers/peer.ts';
import { ask, type FreeResult } from './support/question.ts';

const medianBytes = 200;
const sigma = 1.5;
const bytesMax = 64 * 1024;
const together = 1_000;
const withoutHistory = 'varve, checkpoint moved with each commit';

/** What is asked of a store: values that it names by numbers, as they come. */
interface Subject {
  /** Stores values after those that it has, in one commit. */
  insert(values: readonly Uint8Array[]): Promise<void>;
  /** Deletes those with these numbers, in one commit. */
  remove(numbers: readonly number[]): Promise<void>;
  close(): void | Promise<void>;
}

interface Contender {
  readonly name: string;
  readonly kind: Bar['kind'];
  /** Opens what is in the folder; `known` is the same each time. */
  open(folder: string, known: Known): Promise<Subject>;
}

/** What survives closing: the ids by number, for those that choose them themselves. */
interface Known {
  readonly ids: GrainId[];
  inserted: number;
}

function varve(name: string, finish: (session: Session, store: Store) => void): Contender {
  return {
    name,
    kind: 'varve',
    async open(folder, known) {
      const store = await Store.open(join(folder, 'bench.varve'));
      const commit = async (session: Session): Promise<void> => {
        finish(session, store);
        await session.commit();
      };
      return {
        insert(values) {
          const session = store.session();
          for (const value of values) known.ids.push(session.push(value));
          return commit(session);
        },
        remove(numbers) {
          const session = store.session();
          for (const number of numbers) session.archive(known.ids[number] as GrainId);
          return commit(session);
        },
        close: () => store.close(),
      };
    },
  };
}

function subjectOf(peer: Peer, known: Known): Subject {
  return {
    async insert(values) {
      const first = known.inserted;
      known.inserted += values.length;
      await peer.put(first, values);
    },
    remove: async (numbers) => await peer.remove(numbers),
    close: () => peer.close(),
  };
}

function contenders(): Contender[] {
  const peers = installedPeers().map(
    ({ name, open }): Contender => ({
      name,
      kind: 'peer',
      open: async (folder, known) => subjectOf(await open(folder), known),
    }),
  );
  return [
    varve(withoutHistory, (session, store) => session.checkpointTo(store.currentBatch)),
    varve('varve, whole history kept', () => undefined),
    ...peers,
  ];
}

/** Lengths and places of one life, the same for every contender. */
class Life {
  readonly #dice = new Dice();
  readonly #payload = new Payload();
  /** Numbers and lengths of the values that are there. */
  readonly #live: [number: number, bytes: number][] = [];
  #next = 0;
  bytes = 0;

  /** Normally distributed: Box and Muller's transform. */
  #normal(): number {
    const radius = Math.sqrt(-2 * Math.log((this.#dice.next(1e6) + 1) / 1e6));
    return radius * Math.cos((2 * Math.PI * this.#dice.next(1e6)) / 1e6);
  }

  #value(): Uint8Array {
    const length = Math.round(medianBytes * Math.exp(sigma * this.#normal()));
    const bytes = Math.min(length, bytesMax);
    this.#live.push([this.#next++, bytes]);
    this.bytes += bytes;
    return this.#payload.next(bytes);
  }

  /** Inserts while `more`, `together` values a commit. */
  async #insert(subject: Subject, more: () => boolean): Promise<void> {
    while (more()) {
      const values: Uint8Array[] = [];
      while (values.length < together && more()) values.push(this.#value());
      await subject.insert(values);
    }
  }

  load(subject: Subject, count: number): Promise<void> {
    return this.#insert(subject, () => this.#next < count);
  }

  /** Deletes half of what is there and inserts as many bytes. */
  async round(subject: Subject): Promise<void> {
    const { bytes } = this;
    const half = this.#live.length / 2;
    const gone: number[] = [];
    while (gone.length < half) {
      const at = this.#dice.next(this.#live.length);
      const [number, length] = this.#live[at] as [number, number];
      this.#live[at] = this.#live.at(-1) as [number, number];
      this.#live.pop();
      this.bytes -= length;
      gone.push(number);
    }
    for (let at = 0; at < gone.length; at += together) {
      await subject.remove(gone.slice(at, at + together));
    }
    await this.#insert(subject, () => this.bytes < bytes);
  }
}

const moments = ['loaded, open', 'loaded, closed', 'rounds, open', 'rounds, closed'] as const;

/** Bytes on the disk for each byte of payload, at the four moments. */
async function sizesOf(
  contender: Contender,
  folder: string,
  effort: { values: number; rounds: number },
): Promise<{ ratios: number[]; life: Life }> {
  const life = new Life();
  const known: Known = { ids: [], inserted: 0 };
  const ratios: number[] = [];
  const look = (): void => void ratios.push(folderBytes(folder) / life.bytes);
  const works = [
    (subject: Subject) => life.load(subject, effort.values),
    async (subject: Subject) => {
      for (let round = 0; round < effort.rounds; round++) await life.round(subject);
    },
  ];
  for (const work of works) {
    const subject = await contender.open(folder, known);
    await work(subject);
    look();
    await subject.close();
    look();
  }
  return { ratios, life };
}

const title = 'file bytes / payload';

async function measure(folder: string, quick: boolean): Promise<FreeResult> {
  const effort = quick ? { values: 10_000, rounds: 2 } : { values: 100_000, rounds: 5 };
  const figures: Record<string, number> = {};
  const rows: string[][] = [];
  const bars: Bar[][] = [[], []];
  let bytes = 0;
  for (const contender of contenders()) {
    const { name, kind } = contender;
    const own = join(folder, name);
    mkdirSync(own);
    const { ratios, life } = await sizesOf(contender, own, effort);
    bytes = life.bytes;
    for (const [at, moment] of moments.entries()) {
      figures[`${name}: ${moment}`] = ratios[at] ?? Number.NaN;
    }
    rows.push([name, ...ratios.map(threeDigits)]);
    bars[0]?.push({ name, kind, value: ratios[1] ?? Number.NaN });
    bars[1]?.push({ name, kind, value: ratios[3] ?? Number.NaN });
  }
  const ends = [`${effort.rounds} rounds, open`, `${effort.rounds} rounds, closed`];
  const lines = [
    tableText(['', 'loaded, open', 'loaded, closed', ...ends], rows),
    `${countText(effort.values)} values, ${bytesText(bytes)} of payload in the end.`,
    'classic-level and rocksdb after close, as their own threads left them: none was compacted.',
  ];
  const titles = ['loaded', `after ${effort.rounds} rounds of replacing half`];
  const charts = titles.map((when, at) => ({
    shape: 'bars' as const,
    title: `${title}, ${when}, closed`,
    scale: { of: 'count' as const, unit: 'x' },
    better: 'less' as const,
    bars: bars[at] ?? [],
  }));
  return { text: lines.join('\n'), figures, charts };
}

await ask({
  name: 'file-size',
  title: 'Bytes of the file for each byte of value',
  peers: true,
  sections: (quick) => [{ title, measure: (folder) => measure(folder, quick) }],
  goals: [
    {
      text: 'loaded, closed <= 1.08 x the payload',
      most: 1.08,
      value: ({ figure }) => figure(title, `${withoutHistory}: loaded, closed`),
    },
    {
      text: 'after rounds of replacing half, closed <= 1.20 x the payload',
      most: 1.2,
      value: ({ figure }) => figure(title, `${withoutHistory}: rounds, closed`),
    },
  ],
});
