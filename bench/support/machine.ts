/**
 * What a bench says of the machine it ran on, since a figure without it says nothing.
 *
 * Invariant: no names of folders, users or hosts are in it. The file system is that of the folder
 * measured in.
 */

import { statfsSync } from 'node:fs';
import { availableParallelism, cpus, release, totalmem } from 'node:os';
import { mebibytesText, plural } from './figures.ts';

export interface Machine {
  readonly processor: string;
  readonly cores: number;
  readonly memoryBytes: number;
  readonly system: string;
  readonly node: string;
  readonly fileSystem: string;
  readonly measuredAt: string;
}

/** By the numbers that Linux gives them. */
const fileSystems = new Map([
  [0xef53, 'ext4'],
  [0x58465342, 'xfs'],
  [0x9123683e, 'btrfs'],
  [0x2fc12fc1, 'zfs'],
  [0x794c7630, 'overlay'],
]);

export function machineOf(folder: string): Machine {
  const type = statfsSync(folder).type >>> 0;
  return {
    processor: cpus()[0]?.model.trim() ?? 'unknown',
    cores: availableParallelism(),
    memoryBytes: totalmem(),
    system: `${process.platform} ${release()}`,
    node: process.version,
    fileSystem: fileSystems.get(type) ?? `type 0x${type.toString(16)}`,
    measuredAt: new Date().toISOString(),
  };
}

export function machineText(machine: Machine): string {
  const { processor, cores, memoryBytes, system, node, fileSystem, measuredAt } = machine;
  const memory = mebibytesText(memoryBytes);
  const hardware = `${processor}, ${plural(cores, 'core')}, ${memory}, ${system}`;
  return `${hardware}\nNode ${node}, ${fileSystem}, ${measuredAt.slice(0, 16).replace('T', ' ')} UTC`;
}
