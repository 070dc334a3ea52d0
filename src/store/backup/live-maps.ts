/**
 * Goes over the marks of one stratum and cuts the maps of its copy, while commits go on.
 *
 * Invariant: the maps have exactly the values that were live and not archived as of the batch.
 * Marks are judged together with all changes since the batch that they may hold: of a store that is
 * open for writing, in the turn in which they are read; beside a writer, after the log was
 * followed.
 */

import { markPageCount } from '../../format/grain-map.ts';
import { present } from '../../util/assert.ts';
import type { RunningOperation } from '../../util/operations/running-operation.ts';
import type { GrainMap } from '../grains/grain-map.ts';
import type { Stratum } from '../grains/stratum.ts';
import { type CutMap, MapCuts } from '../moves/map-cuts.ts';
import type { BackupSource, SourceStratum } from './backup-source.ts';
import { MarksReader, type PageMarks, visitLive } from './live-marks.ts';

/** Maps that are complete, and the mark pages that were read for them. */
export interface CutStep {
  readonly cuts: readonly CutMap[];
  readonly pages: number;
}

export class LiveMaps {
  readonly stratum: SourceStratum;
  readonly #source: BackupSource;
  readonly #home: Stratum;
  readonly #maps: readonly GrainMap[];

  constructor(source: BackupSource, stratum: SourceStratum) {
    const { basin, number, endIndex } = stratum;
    this.stratum = stratum;
    this.#source = source;
    this.#home = present(source.core.atlas.stratum(basin, number), 'a stratum of the source');
    // Later maps have no value of the batch.
    this.#maps = this.#home.maps.filter((map) => map.durable && map.firstIndex < endIndex);
  }

  get markPages(): number {
    return this.#maps.reduce((sum, { grains }) => sum + markPageCount(grains), 0);
  }

  /** Rejects with `VARVE_CORRUPT`, `VARVE_IO`, `VARVE_SNAPSHOT_GONE`, and if it is stopped. */
  async *cut(operation: RunningOperation): AsyncGenerator<CutStep, void, undefined> {
    const { basin, number, grainExp } = this.stratum;
    const source = this.#source;
    const { changes, core } = source;
    let cuts: CutMap[] = [];
    const mapsMax = core.atlas.mapsPerStratumMax;
    const cutter = new MapCuts({ grainExp, maps: this.#maps, mapsMax }, (map) => cuts.push(map));
    const taken = (pages: number): CutStep => {
      const step = { cuts, pages };
      cuts = [];
      return step;
    };
    const reading = new MarksReader(core.reader, this.#home, this.stratum.endIndex);
    let current: GrainMap | undefined;
    for (;;) {
      await operation.breathe();
      // A batch that is published in part has changed some of its marks.
      while (!source.isReady) await operation.turn();
      const pages: PageMarks[] = [];
      let error: unknown;
      try {
        takeUpTo(source.pagesAhead, reading, pages);
      } catch (caught) {
        error = await source.explained(caught, 'marks');
        const { map } = reading;
        // The place of a dropped map may have something else by now.
        if (map === undefined || !changes.isDropped(basin, number, map.firstIndex)) throw error;
        reading.skipMap();
      }
      if (pages.length === 0 && error === undefined) break;
      const confirmed = source.confirm();
      if (confirmed !== undefined) await confirmed;
      const since = changes.of(basin, number);
      for (const page of pages) {
        if (page.map !== current) cutter.begin(page.map);
        current = page.map;
        visitLive(page, since, (at, count) => cutter.add(at, count));
      }
      yield taken(pages.length);
    }
    cutter.end();
    changes.forget(basin, number);
    yield taken(0);
  }
}

function takeUpTo(count: number, reading: MarksReader, pages: PageMarks[]): void {
  while (pages.length < count) {
    const next = reading.next();
    if (next === undefined) return;
    pages.push(next);
  }
}
