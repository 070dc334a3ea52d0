/**
 * Random programs of sessions, pushed streams and readers in flight together, beside a plain model:
 * a map from ids to bytes. A store that is open read-only reads beside them.
 *
 * Invariant: after each step each value that the model has is in the store, whole, and no other;
 * streams give the bytes of their range, and end with an error only where the contract has one.
 * Asynchronous reads and writes of the file wait until a step lets one through. Faults of the disk
 * are the caller's; then commits, pushes and reads may reject with `VARVE_IO`, and nothing else.
 */

import type { FileSystem } from '../../../src/index.ts';
import { listOf, turns } from '../../support/fixtures/store-checks.ts';
import { TrialGround } from './trial-ground.ts';
import { TrialReader } from './trial-reader.ts';
import { TrialReads } from './trial-reads.ts';
import { TrialSessions } from './trial-sessions.ts';

export class StreamTrial {
  readonly #ground: TrialGround;
  readonly #sessions: TrialSessions;
  readonly #reads: TrialReads;
  readonly #reader: TrialReader;

  constructor(seed: number, fileSystem: FileSystem, mayRefuse = false) {
    this.#ground = new TrialGround(seed, fileSystem, mayRefuse);
    this.#sessions = new TrialSessions(this.#ground);
    this.#reads = new TrialReads(this.#ground);
    this.#reader = new TrialReader(this.#ground);
  }

  /** It is neither being opened nor closed: calls may fail. */
  get isOpen(): boolean {
    return this.#ground.isOpen;
  }

  get counts(): ReadonlyMap<string, number> {
    return this.#ground.counts;
  }

  async run(steps: number): Promise<void> {
    const ground = this.#ground;
    await ground.open();
    await this.#reader.open();
    for (let step = 0; step < steps; step++) {
      await this.#step();
      await turns(1);
      if (ground.random.chance(0.7)) ground.of(ground.gates)?.next();
      this.#compare();
    }
    await this.#end();
  }

  async #step(): Promise<void> {
    const actions: (readonly [number, () => unknown])[] = [
      [2, () => this.#sessions.begin()],
      [3, () => this.#sessions.push()],
      [3, () => this.#sessions.pushAsync()],
      [5, () => this.#sessions.pushStream()],
      [14, () => this.#sessions.feed()],
      [3, () => this.#sessions.spoil()],
      [4, () => this.#sessions.archive()],
      [1, () => this.#sessions.withdraw()],
      [1, () => this.#sessions.abandon()],
      [1, () => this.#sessions.adopt()],
      [5, () => this.#sessions.commit()],
      [4, () => this.#reads.checkpoint()],
      [5, () => this.#reads.startRead()],
      [10, () => this.#reads.readOn()],
      [1, () => this.#reads.stopRead()],
      [3, () => this.#reads.readRange()],
      [4, () => this.#reader.startRead()],
      [8, () => this.#reader.readOn()],
      [2, () => this.#reader.readRange()],
      [2, () => this.#reader.refresh()],
      [0.3, () => this.#reopen()],
    ];
    let at = this.#ground.random.next() * actions.reduce((sum, [weight]) => sum + weight, 0);
    for (const [weight, act] of actions) {
      at -= weight;
      if (at < 0) {
        await act();
        return;
      }
    }
  }

  #compare(): void {
    const { broken, store, values, random } = this.#ground;
    if (broken.length > 0) throw broken[0];
    const found = store.statistics().values;
    if (found !== values.size) throw new Error(`${found} values, not ${values.size}`);
    this.#reads.compare();
    this.#sessions.compare();
    for (const [id, { bytes }] of values) {
      if (random.chance(0.2)) this.#ground.same(() => store.get(id), bytes);
    }
  }

  async #reopen(): Promise<void> {
    this.#sessions.dropAll();
    this.#reads.dropAll();
    await this.#ground.close();
    await this.#ground.open();
    this.#ground.count('reopened');
  }

  /** Everything ends, and nothing is left but what the model has. */
  async #end(): Promise<void> {
    const { store, values, gates } = this.#ground;
    this.#sessions.abandonAll();
    await this.#reads.cancelAll();
    await this.#reader.close();
    this.#ground.isOpen = false;
    for (const gate of gates) gate.open();
    await turns(30);
    this.#compare();
    if (store.statistics().oldestGuard !== undefined) throw new Error('a guard is left');
    for (const [id, { bytes }] of values) this.#ground.same(() => store.get(id), bytes);
    const findings = await listOf(store.verify({ deep: true }));
    if (findings.length > 0) throw new Error(findings.map(({ message }) => message).join('; '));
    await store.close();
  }
}
