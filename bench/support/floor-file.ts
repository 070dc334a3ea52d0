/**
 * The least that a durable commit can cost on this disk: positioned writes into a file that was
 * filled with zeros before, and one `fdatasync`.
 *
 * Invariant: it never leaves the space that was filled, so the file system has neither blocks to
 * initialise nor a length to change; it goes on through that space as a store does.
 */

import fs from 'node:fs';

const fileBytes = 64 * 1024 * 1024;
/** The second region lies in a part of the file of its own, as a store's log does. */
const secondPart = fileBytes / 2;

/** Lengths of the regions that one commit writes: its values, then its record. */
export type Regions = readonly [number] | readonly [number, number];

export class FloorFile {
  readonly #fd: number;
  #next = 0;

  constructor(path: string) {
    this.#fd = fs.openSync(path, 'wx+');
    const zeros = new Uint8Array(4 * 1024 * 1024);
    for (let at = 0; at < fileBytes; at += zeros.length) {
      fs.writeSync(this.#fd, zeros, 0, zeros.length, at);
    }
    fs.fsyncSync(this.#fd);
  }

  close(): void {
    fs.closeSync(this.#fd);
  }

  #write(chunks: readonly Uint8Array[]): void {
    const [first, second] = chunks;
    if (first === undefined) return;
    if (this.#next + first.length > secondPart) this.#next = 0;
    fs.writeSync(this.#fd, first, 0, first.length, this.#next);
    // Records begin on sectors, so a first region of any length leaves the second aligned.
    const record = secondPart + (this.#next % (secondPart / 2));
    if (second !== undefined) fs.writeSync(this.#fd, second, 0, second.length, record);
    this.#next += Math.ceil(first.length / 512) * 512;
  }

  /** A task that writes so many bytes in one or two regions and syncs, on the calling thread. */
  commitsSync(regions: Regions): () => void {
    const chunks = regions.map((length) => new Uint8Array(length).fill(1));
    return () => {
      this.#write(chunks);
      fs.fdatasyncSync(this.#fd);
    };
  }

  /** The same with a sync that does not block: what a group of sessions has to wait for. */
  commits(regions: Regions): () => Promise<void> {
    const chunks = regions.map((length) => new Uint8Array(length).fill(1));
    return () => {
      this.#write(chunks);
      return new Promise((resolve, reject) => {
        fs.fdatasync(this.#fd, (error) => (error ? reject(error) : resolve()));
      });
    };
  }
}
