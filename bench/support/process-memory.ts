/**
 * The memory of this process as the system counts it.
 *
 * Invariant: bytes. Where the system does not tell the parts apart, all of it counts as the
 * process's own. Loads nothing that Node does not load for itself.
 */

import { readFileSync } from 'node:fs';

export interface ProcessMemory {
  /** Resident, files that are mapped included. */
  readonly residentBytes: number;
  /** The process's own: without pages of files, such as those of a mapped database. */
  readonly ownBytes: number;
  /** The most that was ever resident. */
  readonly peakBytes: number;
}

export function processMemory(): ProcessMemory {
  const residentBytes = process.memoryUsage.rss();
  const peakBytes = process.resourceUsage().maxRSS * 1024;
  if (process.platform !== 'linux') return { residentBytes, ownBytes: residentBytes, peakBytes };
  const kibibytes = /^RssAnon:\s+(\d+) kB$/m.exec(readFileSync('/proc/self/status', 'utf8'))?.[1];
  return { residentBytes, ownBytes: Number(kibibytes) * 1024, peakBytes };
}
