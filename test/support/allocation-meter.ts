/**
 * A meter of the memory that is taken while it runs: what a decoder may cost is bounded by what it
 * reads.
 *
 * Invariant: it counts typed arrays that are made by their length, not views of others.
 */

import { vi } from 'vitest';

const measured = ['ArrayBuffer', 'Uint8Array', 'Uint32Array', 'Float64Array'] as const;

/** Memory of typed arrays that was asked for by its length, in bytes. */
export class AllocationMeter {
  total = 0;
  largest = 0;

  /** From now on it counts. */
  start(): void {
    this.total = 0;
    this.largest = 0;
    for (const name of measured) vi.stubGlobal(name, this.#counting(globalThis[name]));
  }

  stop(): void {
    vi.unstubAllGlobals();
  }

  #counting(original: { new (...args: never[]): object }): object {
    const bytesEach = 'BYTES_PER_ELEMENT' in original ? Number(original.BYTES_PER_ELEMENT) : 1;
    return new Proxy(original, {
      construct: (target, args, newTarget): object => {
        const [first] = args as readonly unknown[];
        const bytes = typeof first === 'number' ? first * bytesEach : 0;
        this.total += bytes;
        this.largest = Math.max(this.largest, bytes);
        return Reflect.construct(target, args, newTarget) as object;
      },
    });
  }
}
