/**
 * Random programs beside compactions, against a plain model: sessions push, archive, commit in every
 * way and are abandoned, checkpoints and guards come and go, values are read, while one compaction
 * after another runs. After each step, and after reopening, every value is what it was.
 */

import fc from 'fast-check';
import { expect, it } from 'vitest';
import {
  type CheckpointGuard,
  type GrainId,
  memoryFileSystem,
  type Session,
  type Store,
} from '../../../src/index.ts';
import { defaultLimits } from '../../../src/store/grains/atlas.ts';
import { loadedPageBytes } from '../../../src/store/marks/mark-page.ts';
import { checkOptions } from '../../../src/store/open/store-options.ts';
import { openStore } from '../../../src/store/store.ts';
import { patternOf } from '../../support/bytes.ts';
import { check } from '../../support/fixtures/store-checks.ts';
import { Random } from '../../support/random.ts';

interface Setting {
  readonly seed: number;
  readonly steps: number;
  readonly mapBytesMin: number;
  readonly markPages: number;
  readonly settleBytes: number;
  readonly cacheBytes: number;
  readonly carriedBytes: number;
  readonly grainsPerStratum: number;
  readonly compaction: 'automatic' | 'manual';
}

const setting: fc.Arbitrary<Setting> = fc.record({
  seed: fc.nat(),
  steps: fc.integer({ min: 10, max: 120 }),
  mapBytesMin: fc.constantFrom(4096, 65_536, 600_000),
  markPages: fc.constantFrom(0, 2, 1000),
  settleBytes: fc.constantFrom(1000, 20_000, 400_000),
  cacheBytes: fc.constantFrom(0, 300_000, 64 * 1024 * 1024),
  carriedBytes: fc.constantFrom(0, 512, 4096),
  grainsPerStratum: fc.constantFrom(300, 60_000, 2 ** 48),
  compaction: fc.constantFrom('automatic', 'manual'),
});

const path = 'store';

class Program {
  readonly #random: Random;
  readonly #fileSystem = memoryFileSystem();
  readonly #setting: Setting;
  #store!: Store;
  /** Committed and not archived by a committed session. */
  readonly #live = new Map<GrainId, Uint8Array>();
  /** Archived after the checkpoint: readable still. */
  readonly #archived = new Map<GrainId, { bytes: Uint8Array; batch: number }>();
  readonly #claimed = new Set<GrainId>();
  readonly #guards: CheckpointGuard[] = [];
  readonly #open: { session: Session; pushed: [GrainId, Uint8Array][]; archived: GrainId[] }[] = [];
  readonly #commits = new Set<Promise<unknown>>();
  #compaction: Promise<unknown> | undefined;
  compactions = 0;
  moved = 0;

  constructor(setting: Setting) {
    this.#setting = setting;
    this.#random = new Random(setting.seed);
  }

  async run(): Promise<void> {
    await this.#openStore();
    for (let step = 0; step < this.#setting.steps; step++) {
      await this.#step();
      for (let hop = this.#random.below(12); hop > 0; hop--) await undefined;
      if (this.#random.chance(0.1)) await new Promise((resume) => setImmediate(resume));
      this.#compare(0.2);
    }
    await this.#rest();
    await this.#compact();
    this.#compare(1);
    await check.sound(this.#store);
    await this.#reopen();
    this.#compare(1);
    await check.sound(this.#store);
    await this.#store.close();
  }

  async #openStore(): Promise<void> {
    const { mapBytesMin, markPages, carriedBytes, settleBytes, cacheBytes, grainsPerStratum } =
      this.#setting;
    const markBytes = markPages * loadedPageBytes;
    const limits = { ...defaultLimits, mapBytesMin, markBytes, carriedBytes, grainsPerStratum };
    const { compaction } = this.#setting;
    const options = { fileSystem: this.#fileSystem, settleBytes, cacheBytes, compaction };
    this.#store = await openStore(checkOptions(path, options, limits));
  }

  async #reopen(): Promise<void> {
    await this.#rest();
    for (const { archived } of this.#open.splice(0)) {
      for (const id of archived) this.#claimed.delete(id);
    }
    this.#guards.length = 0;
    await this.#store.close();
    await this.#openStore();
  }

  async #rest(): Promise<void> {
    await this.#compaction;
    await Promise.all(this.#commits);
  }

  async #compact(): Promise<void> {
    this.compactions += 1;
    const report = await this.#store.compact();
    this.moved += report.movedBytes;
  }

  #step(): Promise<void> | void {
    const dice = this.#random.next();
    if (dice < 0.06) {
      this.#compaction ??= this.#compact().finally(() => {
        this.#compaction = undefined;
      });
      return;
    }
    if (dice < 0.3) return this.#push();
    if (dice < 0.5) return this.#archive();
    if (dice < 0.75) return this.#end();
    if (dice < 0.85) return this.#checkpoint();
    if (dice < 0.9) return this.#guard();
    if (dice < 0.98) return this.#readAsync();
    return this.#reopen();
  }

  get #draft() {
    const at = this.#random.below(this.#open.length + 1);
    const found = this.#open[at];
    if (found !== undefined) return found;
    const draft = { session: this.#store.session(), pushed: [], archived: [] };
    this.#open.push(draft);
    return draft;
  }

  #length(): number {
    const dice = this.#random.next();
    if (dice < 0.03) return 60_000 + this.#random.below(200_000);
    return this.#random.below(dice < 0.3 ? 6000 : 200);
  }

  #push(): void {
    const { session, pushed } = this.#draft;
    for (let count = 1 + this.#random.below(40); count > 0; count--) {
      const bytes = patternOf(this.#length(), this.#random.below(1000));
      pushed.push([session.push(bytes), bytes]);
    }
  }

  #archive(): void {
    const { session, archived } = this.#draft;
    // The oldest mostly, and some at random.
    const ids = [...this.#live.keys()].filter((id) => !this.#claimed.has(id));
    const oldest = this.#random.chance(0.7);
    for (let count = this.#random.below(60); count > 0 && ids.length > 0; count--) {
      const at = oldest ? 0 : this.#random.below(ids.length);
      const [id] = ids.splice(at, 1) as [GrainId];
      session.archive(id);
      archived.push(id);
      this.#claimed.add(id);
    }
  }

  #end(): void {
    const at = this.#random.below(this.#open.length);
    const [draft] = this.#open.splice(at, 1);
    if (draft === undefined) return;
    const { session, pushed, archived } = draft;
    const accept = (batch: number): void => {
      for (const id of archived) {
        this.#claimed.delete(id);
        this.#archived.set(id, { bytes: this.#live.get(id) as Uint8Array, batch });
        this.#live.delete(id);
      }
      for (const [id, bytes] of pushed) this.#live.set(id, bytes);
    };
    if (this.#random.chance(0.1)) {
      session.abandon();
      for (const id of archived) this.#claimed.delete(id);
    } else if (!this.#store.committing && this.#random.chance(0.5)) accept(session.commitSync());
    else {
      const commit = session.commit().then(accept);
      this.#commits.add(commit);
      void commit.finally(() => this.#commits.delete(commit));
    }
  }

  async #checkpoint(): Promise<void> {
    await Promise.all(this.#commits);
    const target = this.#store.currentBatch - this.#random.below(3);
    await this.#store.checkpointTo(Math.max(0, target));
    const { checkpoint } = this.#store;
    for (const [id, { batch }] of this.#archived)
      if (batch <= checkpoint) this.#archived.delete(id);
  }

  #guard(): void {
    if (this.#random.chance(0.5)) this.#guards.push(this.#store.guard());
    else this.#guards.splice(this.#random.below(this.#guards.length), 1)[0]?.release();
  }

  async #readAsync(): Promise<void> {
    const ids = [...this.#live.keys()];
    const some = ids.filter(() => this.#random.chance(0.1));
    const bytes = some.map((id) => this.#live.get(id));
    const reading = some.map((id) => this.#store.getAsync(id));
    for (const [at, found] of (await Promise.all(reading)).entries()) {
      const id = some[at] as GrainId;
      if (!this.#live.has(id) && found === undefined) continue;
      expect(sameBytes(found, bytes[at]), `getAsync ${id}`).toBe(true);
    }
  }

  #compare(share: number): void {
    const values: [GrainId, Uint8Array][] = [...this.#live];
    for (const [id, { bytes }] of this.#archived) values.push([id, bytes]);
    for (const [id, bytes] of values) {
      if (!this.#random.chance(share)) continue;
      expect(sameBytes(this.#store.get(id), bytes), `get ${id}`).toBe(true);
    }
  }
}

it('values are the same beside and after compactions', async () => {
  let compactions = 0;
  let moved = 0;
  const property = fc.asyncProperty(setting, async (drawn) => {
    const program = new Program(drawn);
    await program.run();
    compactions += program.compactions;
    moved += program.moved;
  });
  const numRuns = Number(process.env['VARVE_COMPACT_RUNS'] ?? 60);
  await fc.assert(property, { numRuns, endOnFailure: true });
  console.log(`compactions: ${compactions}, bytes moved: ${moved}`);
  expect(moved).toBeGreaterThan(1_000_000);
}, 600_000);

function sameBytes(found: Uint8Array | undefined, expected: Uint8Array | undefined): boolean {
  if (found === undefined || expected === undefined) return found === expected;
  return Buffer.compare(found, expected) === 0;
}
