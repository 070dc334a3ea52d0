/**
 * A cache of blobs that are named by what is in them, with a limit of bytes, on a forest.
 *
 * - The name of a blob is its SHA-256. Whoever puts the same bytes twice stores one blob.
 * - A blob and its entry are stored in one transaction: no power cut leaves an entry without its
 *   bytes, or bytes that no entry names. Small blobs are pushed in it (`tx.push`). Large ones are
 *   streamed before it (`forest.session`), while no other transaction waits, and it adopts them.
 * - A blob that makes the cache too large is stored in the same transaction that removes others, the
 *   least recently used first. So the limit holds after every commit, and after every kill.
 * - A read writes nothing. It notes the use in memory, and the next `put` or `flush` stores it. A
 *   kill forgets such uses, and nothing else.
 *
 * Two trees say all there is to know, so opening the forest is all that a restart needs:
 *
 * | tree    | key           | value                                               |
 * | ------- | ------------- | --------------------------------------------------- |
 * | blobs   | name          | id of the bytes in the store, their number, its use |
 * | recency | use: 1, 2, …  | name                                                |
 *
 * Run it: `node examples/blob-cache.mjs`. In a clone of the repository, run `npm run build` first.
 */

import { createHash } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import process from 'node:process';
import { pathToFileURL } from 'node:url';
import { GrainId } from 'varve';
import { codecs, Forest, reducers } from 'varve/forest';

/** @typedef {import('varve/forest').Transaction} Transaction */

export class BlobCache {
  #forest;
  #bytesMax;
  #blobs;
  #recency;
  /**
   * Names that reads have found since the last write, the last one used last.
   * @type {Set<string>}
   */
  #uses = new Set();

  /**
   * A cache in an open forest. The trees begin with `name`, so a forest can have several.
   *
   * @param {Forest} forest
   * @param {{ bytesMax: number, name?: string }} options
   */
  constructor(forest, { bytesMax, name = 'cache' }) {
    this.#forest = forest;
    this.#bytesMax = bytesMax;
    this.#blobs = forest.tree(`${name}/blobs`, {
      key: codecs.utf8,
      value: codecs.tuple(codecs.u64, codecs.uint, codecs.uint),
      // Every node of the tree keeps the sum for what is below it: `bytes` reads the root alone.
      reducer: reducers.sum((_, [, bytes]) => bytes),
    });
    this.#recency = forest.tree(`${name}/recency`, { key: codecs.uint, value: codecs.utf8 });
  }

  /** Bytes of all blobs in the cache: never more than `bytesMax`. */
  get bytes() {
    return this.#blobs.reduce();
  }

  /** The names of all blobs, the least recently used first, as far as uses are stored. */
  names() {
    return [...this.#recency.values()];
  }

  /**
   * The name of the blob, once it is durable. Leave `data` unchanged until then.
   *
   * @param {Uint8Array} data
   */
  async put(data) {
    this.#checkSize(data.length);
    const name = createHash('sha256').update(data).digest('hex');
    await this.#forest.transaction((tx) => {
      this.#add(tx, name, data.length, () => tx.push(data));
    });
    return name;
  }

  /**
   * As `put`, for a blob of any size, with bounded memory. The name is known only at its end: a blob
   * that the cache has already is streamed, and given up.
   *
   * @param {AsyncIterable<Uint8Array> | ReadableStream<Uint8Array>} source
   * @param {number} length its bytes: other than these are refused
   */
  async putStream(source, length) {
    this.#checkSize(length);
    const hash = createHash('sha256');
    const session = this.#forest.session();
    try {
      const id = await session.pushStream(hashed(source, hash), { length });
      const name = hash.digest('hex');
      await this.#forest.transaction((tx) => {
        this.#add(tx, name, length, () => {
          tx.adopt(session);
          return id;
        });
      });
      return name;
    } finally {
      // If no transaction has adopted it, its space is free again. Otherwise this does nothing.
      session.abandon();
    }
  }

  /**
   * The bytes of a blob. Undefined if it is not in the cache, or is removed while it is read.
   *
   * @param {string} name
   */
  async get(name) {
    const id = this.#find(name);
    // Nothing is awaited between the two reads: the id still names this blob. A value that is freed
    // during `getAsync` gives undefined, never other bytes, although ids are used again.
    return id && (await this.#forest.getAsync(id));
  }

  /**
   * As `get`, for a blob of any size, with bounded memory. The stream comes to its end, also if the
   * blob is removed meanwhile.
   *
   * @param {string} name
   */
  stream(name) {
    const id = this.#find(name);
    return id && this.#forest.createReadStream(id);
  }

  /**
   * The id of a blob, whose use it notes.
   *
   * @param {string} name
   */
  #find(name) {
    const blob = this.#blobs.get(name);
    if (blob === undefined) return undefined;
    this.#uses.delete(name);
    this.#uses.add(name);
    return GrainId.from(blob[0]);
  }

  /**
   * Stores the uses that reads have noted. Call it before you close the forest, and after opening a
   * cache with a smaller limit than before.
   */
  async flush() {
    await this.#forest.transaction((tx) => {
      this.#storeUses(tx);
      this.#evict(tx);
    });
  }

  /** @param {number} bytes */
  #checkSize(bytes) {
    if (bytes <= this.#bytesMax) return;
    throw new RangeError(`the blob has ${bytes} bytes, the whole cache ${this.#bytesMax}`);
  }

  /**
   * Bodies of transactions run one at a time, each on what the one before has left. Of two that put
   * the same blob at once, the second one finds it.
   *
   * @param {Transaction} tx
   * @param {string} name
   * @param {number} bytes
   * @param {() => GrainId} push
   */
  #add(tx, name, bytes, push) {
    this.#storeUses(tx);
    if (!this.#use(tx, name)) {
      const use = this.#nextUse(tx);
      tx.tree(this.#blobs).put(name, [push(), bytes, use]);
      tx.tree(this.#recency).put(use, name);
    }
    this.#evict(tx);
  }

  /** @param {Transaction} tx */
  #storeUses(tx) {
    for (const name of this.#uses) this.#use(tx, name);
    this.#uses.clear();
  }

  /**
   * Makes the blob the last one used. False if it is not there.
   *
   * @param {Transaction} tx
   * @param {string} name
   */
  #use(tx, name) {
    const blobs = tx.tree(this.#blobs);
    const blob = blobs.get(name);
    if (blob === undefined) return false;
    const [id, bytes, use] = blob;
    tx.tree(this.#recency).delete(use);
    const next = this.#nextUse(tx);
    blobs.put(name, [id, bytes, next]);
    tx.tree(this.#recency).put(next, name);
    return true;
  }

  /** @param {Transaction} tx */
  #nextUse(tx) {
    return (tx.tree(this.#recency).last()?.[0] ?? 0) + 1;
  }

  /**
   * Removes blobs until the limit holds. What is archived is freed by a later commit, as soon as no
   * snapshot and no reader needs it.
   *
   * @param {Transaction} tx
   */
  #evict(tx) {
    const blobs = tx.tree(this.#blobs);
    const recency = tx.tree(this.#recency);
    while (blobs.reduce() > this.#bytesMax) {
      const [use, name] = /** @type {[number, string]} */ (recency.first());
      const [id] = /** @type {[bigint, number, number]} */ (blobs.get(name));
      tx.archive(GrainId.from(id));
      blobs.delete(name);
      recency.delete(use);
    }
  }
}

/**
 * The chunks of a source, all of which go into the hash.
 *
 * @param {AsyncIterable<Uint8Array> | ReadableStream<Uint8Array>} source
 * @param {import('node:crypto').Hash} hash
 */
async function* hashed(source, hash) {
  for await (const chunk of source) {
    hash.update(chunk);
    yield chunk;
  }
}

// ── a program that uses it ──

async function main() {
  const folder = await mkdtemp(join(tmpdir(), 'varve-blobs-'));
  const path = join(folder, 'cache.varve');
  try {
    let forest = await Forest.open(path);
    let cache = new BlobCache(forest, { bytesMax: 3000 });
    const blob = (/** @type {number} */ fill) => new Uint8Array(1000).fill(fill);
    const [one, two, three] = await Promise.all([1, 2, 3].map((fill) => cache.put(blob(fill))));
    const again = await cache.put(blob(2));
    console.log(`the same blob twice is one: ${again === two}, ${cache.bytes} bytes`);

    await cache.get(`${one}`); // now the third is the least recently used
    const four = await cache.put(blob(4));
    console.log(`after a fourth blob: ${cache.bytes} bytes`);
    console.log(`the third is gone: ${(await cache.get(`${three}`)) === undefined}`);
    const large = new Blob([new Uint8Array(1500)]); // or a file, or the body of a request
    const five = await cache.putStream(large.stream(), large.size);
    let streamed = 0;
    for await (const chunk of cache.stream(five) ?? []) streamed += chunk.length;
    console.log(`after a stream: ${cache.bytes} bytes, and back: ${streamed} bytes`);
    await cache.flush();
    await forest.close();

    forest = await Forest.open(path);
    cache = new BlobCache(forest, { bytesMax: 3000 });
    const order = [four, five].join() === cache.names().join();
    console.log(`after a restart: ${cache.bytes} bytes, in the same order: ${order}`);
    await forest.close();
  } finally {
    await rm(folder, { recursive: true });
  }
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) await main();
