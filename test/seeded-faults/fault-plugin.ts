/**
 * The vitest plugin that seeds one fault: where VARVE_SEEDED_FAULT has the number of one (from 1,
 * as in the README's table), that source is changed in memory when it is loaded.
 *
 * Invariant: without the variable there is no plugin; a number that no fault has, and a snippet that
 * does not stand exactly once in its source, are errors. No file is written.
 */

import { fileURLToPath } from 'node:url';
import type { Plugin } from 'vitest/config';
import { faults } from './faults.ts';
import { seeded } from './seeded-fault.ts';

/** To be among the plugins of the vitest configuration that lies in `root`, a file: URL. */
export function seededFaultPlugins(root: string): Plugin[] {
  const number = process.env['VARVE_SEEDED_FAULT'];
  if (number === undefined) return [];
  const fault = faults[Number(number) - 1];
  if (fault === undefined) {
    throw new Error(`VARVE_SEEDED_FAULT is ${number}, the faults are 1 to ${faults.length}`);
  }
  const path = fileURLToPath(new URL(`src/${fault.file}`, root)).replaceAll('\\', '/');
  return [
    {
      name: 'varve-seeded-fault',
      enforce: 'pre',
      transform: (source, id) => (id.split('?')[0] === path ? seeded(source, fault) : undefined),
    },
  ];
}
