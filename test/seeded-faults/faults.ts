/**
 * Every fault that is seeded, in the order of the table in README.md: its numbers are those that
 * VARVE_SEEDED_FAULT takes.
 */

import { faultsOfBackups, faultsOfSalvage } from './faults-of-backups.ts';
import { faultsOfCarrying } from './faults-of-carrying.ts';
import { faultsOfCommits } from './faults-of-commits.ts';
import { faultsOfCompacting } from './faults-of-compacting.ts';
import { faultsOfCounts, faultsOfInvariants } from './faults-of-counts.ts';
import { faultsOfForest } from './faults-of-forest.ts';
import { faultsOfForestCompacting } from './faults-of-forest-compacting.ts';
import { faultsOfHeldStates, faultsOfJournals } from './faults-of-journals.ts';
import { faultsOfMemory } from './faults-of-memory.ts';
import { faultsOfOpening } from './faults-of-opening.ts';
import { faultsOfReaders } from './faults-of-readers.ts';
import { faultsOfReading } from './faults-of-reading.ts';
import { faultsOfSettling } from './faults-of-settling.ts';
import { faultsOfSpace } from './faults-of-space.ts';
import { faultsOfStreams, faultsOfUploads } from './faults-of-streams.ts';
import { faultsOfWatching } from './faults-of-watching.ts';
import type { SeededFault } from './seeded-fault.ts';

export const faults: readonly SeededFault[] = [
  ...faultsOfCommits,
  ...faultsOfCarrying,
  ...faultsOfSettling,
  ...faultsOfOpening,
  ...faultsOfSpace,
  ...faultsOfReading,
  ...faultsOfForest,
  ...faultsOfJournals,
  ...faultsOfHeldStates,
  ...faultsOfReaders,
  ...faultsOfCounts,
  ...faultsOfInvariants,
  ...faultsOfMemory,
  ...faultsOfStreams,
  ...faultsOfUploads,
  ...faultsOfWatching,
  ...faultsOfBackups,
  ...faultsOfCompacting,
  ...faultsOfForestCompacting,
  ...faultsOfSalvage,
];
