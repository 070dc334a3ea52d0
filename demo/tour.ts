/**
 * The demo from its first step to its last: store, reopen, compare, free half, store that half
 * again in the space that it left, compare, verify.
 *
 * Invariant: it throws at the first thing that is not as it should be, with the file named. What
 * each step does is in `steps.ts`, what it looks like in `screen.ts`.
 */

import { join } from 'node:path';
import { bytesText, countText, plural, threeDigits } from '../bench/support/figures.ts';
import { Store, type StoreStatistics } from '../src/index.ts';
import type { FoundFile, FoundFiles, SkippedFile } from './found-files.ts';
import type { Screen } from './screen.ts';
import { compareFiles, Difference, freeFiles, type StoredFile, storeFiles } from './steps.ts';

const freeStep = 'free half';
/** Skipped files that are named; more are counted. */
const namesMax = 20;

export class Tour {
  readonly #screen: Screen;
  readonly #path: string;
  readonly #skipped: SkippedFile[] = [];

  /** The store is made in `folder`. */
  constructor(screen: Screen, folder: string) {
    this.#screen = screen;
    this.#path = join(folder, 'demo.varve');
  }

  get storePath(): string {
    return this.#path;
  }

  /** Gives the number of files that were stored and came back the same. */
  async run(found: FoundFiles): Promise<number> {
    this.#skipped.push(...found.skipped);
    this.#screen.heading();
    let store = await Store.open(this.#path, { exclusive: true });
    try {
      const stored = await this.#store('store', store, found.files);
      store = await this.#reopen(store);
      await this.#compare('read and compare', store, stored);
      const kept = stored.filter((_, at) => at % 2 === 0);
      const half = stored.filter((_, at) => at % 2 === 1);
      const before = store.statistics();
      await this.#free(store, half);
      const files = half.map(({ file }) => file);
      const again = await this.#store('store again', store, files);
      const after = store.statistics();
      await this.#compare('compare again', store, [...kept, ...again]);
      await this.#verify(store, kept.length + again.length);
      this.#sum(before, after, half);
    } finally {
      await store.close();
    }
    this.#nameSkipped();
    const names = new Set(this.#skipped.map(({ path }) => path));
    return found.files.length - found.files.filter(({ path }) => names.has(path)).length;
  }

  /** Runs one step with its progress shown, then prints its line. */
  async #step<T>(
    name: string,
    files: readonly FoundFile[],
    step: { readonly store: Store; work(watch: (file: FoundFile) => void): Promise<T> },
  ): Promise<T> {
    const bytes = bytesOf(files);
    const total = { files: files.length, bytes };
    const before = step.store.statistics();
    const progress = this.#screen.progress(name, total);
    const from = performance.now();
    try {
      const result = await step.work((file) => progress.advance(file.bytes));
      const milliseconds = performance.now() - from;
      progress.end();
      const { syncs, sessionsCommitted } = step.store.statistics();
      const sessions = sessionsCommitted - before.sessionsCommitted;
      const shared = sessions === 0 ? {} : { syncs: syncs - before.syncs, sessions };
      const bytesMoved = name !== freeStep;
      this.#screen.step(name, { ...total, milliseconds, bytesMoved, ...shared });
      return result;
    } finally {
      progress.end();
    }
  }

  async #store(
    name: string,
    store: Store,
    files: readonly FoundFile[],
  ): Promise<readonly StoredFile[]> {
    const { stored, skipped } = await this.#step(name, files, {
      store,
      work: (watch) => storeFiles(store, files, watch),
    });
    this.#skipped.push(...skipped);
    // Sessions and large files finish in any order: by path, each run frees the same half.
    return stored.toSorted((one, other) => (one.file.path < other.file.path ? -1 : 1));
  }

  async #reopen(store: Store): Promise<Store> {
    const beforeClose = performance.now();
    await store.close();
    this.#screen.remark('close', performance.now() - beforeClose, '');
    const beforeOpen = performance.now();
    const reopened = await Store.open(this.#path, { create: false });
    const values = plural(reopened.statistics().values, 'value');
    this.#screen.remark('open', performance.now() - beforeOpen, `${values} there`);
    return reopened;
  }

  async #compare(name: string, store: Store, stored: readonly StoredFile[]): Promise<void> {
    const files = stored.map(({ file }) => file);
    const changed = await this.#step(name, files, {
      store,
      work: (watch) => compareFiles(store, stored, watch),
    });
    this.#skipped.push(...changed);
  }

  async #free(store: Store, half: readonly StoredFile[]): Promise<void> {
    const files = half.map(({ file }) => file);
    const work = (watch: (file: FoundFile) => void): Promise<void> => freeFiles(store, half, watch);
    await this.#step(freeStep, files, { store, work });
  }

  async #verify(store: Store, expected: number): Promise<void> {
    const from = performance.now();
    const { values, archivedValues } = store.statistics();
    if (values !== expected || archivedValues !== 0) {
      throw new Difference(this.#path, `${values} values instead of ${expected}`);
    }
    for await (const { message, offset } of store.verify({ deep: true })) {
      throw new Difference(this.#path, `verify: ${message} (offset ${offset ?? 'unknown'})`);
    }
    const remark = 'sound: every structure and every checksum';
    this.#screen.remark('verify', performance.now() - from, remark);
  }

  #sum(before: StoreStatistics, after: StoreStatistics, half: readonly StoredFile[]): void {
    const { fileBytes, valueBytes, values } = after;
    const times = valueBytes === 0 ? '' : `, ${threeDigits(fileBytes / valueBytes)} times as much`;
    const growth = fileBytes - before.fileBytes;
    const percent = ((growth / before.fileBytes) * 100).toFixed(1);
    const grown = `the file grew by ${bytesText(growth)} (${percent} %)`;
    const freed = bytesText(bytesOf(half.map(({ file }) => file)));
    this.#screen.line();
    this.#screen.line(
      `${bytesText(valueBytes)} in ${plural(values, 'file')} ` +
        `take a store of ${bytesText(fileBytes)}${times}.`,
    );
    this.#screen.line(
      `${freed} were freed and stored again: ${growth <= 0 ? 'the file did not grow' : grown}.`,
    );
  }

  #nameSkipped(): void {
    if (this.#skipped.length === 0) return;
    this.#screen.line();
    for (const { path, reason } of this.#skipped.slice(0, namesMax)) {
      this.#screen.line(`not compared: ${path} (${reason})`);
    }
    const more = this.#skipped.length - namesMax;
    if (more > 0) this.#screen.line(`… and ${countText(more)} more`);
  }
}

function bytesOf(files: readonly FoundFile[]): number {
  return files.reduce((sum, { bytes }) => sum + bytes, 0);
}
