/**
 * Where the grains of each stratum are in a file, as the maps say that the description gives: settled
 * ones, and those that records add, drop and replace.
 *
 * Invariant: a grain is in one map. It reads nothing: the sizes of pages and mark pages are those of
 * the specification.
 */

export interface U48 {
  readonly value: number;
}
export interface KaitaiAddMap {
  readonly basin: U48;
  readonly stratum: U48;
  readonly firstIndex: U48;
  readonly numGrains: U48;
  readonly page: U48;
  readonly furtherExtents: readonly { readonly page: U48; readonly pages: U48 }[];
}
export interface KaitaiDropMap {
  readonly basin: U48;
  readonly stratum: U48;
  readonly firstIndex: U48;
  readonly isReplaced: boolean;
  readonly parts:
    | readonly { readonly firstIndex: U48; readonly numGrains: U48; readonly page: U48 }[]
    | undefined;
}

/** A stretch of the file, in bytes. */
export interface Part {
  readonly offset: number;
  readonly bytes: number;
}

interface Stretch {
  readonly from: number;
  readonly grains: number;
  /** Where the grains are, one part after another. */
  readonly parts: readonly Part[];
}

/** The places of a map's grains: what is left of its first extent, then the further ones. */
export function partsOf(
  map: { readonly page: number; readonly numPages: number; readonly overheadPages: number },
  further: readonly { readonly page: number; readonly pages: number }[],
): Part[] {
  let pages = map.numPages - map.overheadPages;
  for (const extent of further) pages -= extent.pages;
  const parts = [{ page: map.page + map.overheadPages, pages }, ...further];
  return parts.map((part) => ({ offset: part.page * 4096, bytes: part.pages * 4096 }));
}

/** Where each grain of each stratum is. */
export class Places {
  readonly #strata = new Map<string, { grainExp: number; stretches: Stretch[] }>();

  add(basin: number, stratum: number, grainExp: number): void {
    this.#strata.set(`${basin}-${stratum}`, { grainExp, stretches: [] });
  }

  stretch(basin: number, stratum: number, stretch: Stretch): void {
    this.#strata.get(`${basin}-${stratum}`)?.stretches.push(stretch);
  }

  addStratum(structure: unknown): void {
    const { basin, stratum, grainExp } = structure as Record<string, U48>;
    if (basin && stratum && grainExp) this.add(basin.value, stratum.value, grainExp.value);
  }

  /** Takes a map out of its stratum, and puts its parts there. */
  dropMap({ basin, stratum, firstIndex, parts }: KaitaiDropMap): void {
    const { stretches = [] } = this.#strata.get(`${basin.value}-${stratum.value}`) ?? {};
    const at = stretches.findIndex(({ from }) => from === firstIndex.value);
    if (at < 0) throw new Error(`no grain map begins with ${firstIndex.value}`);
    stretches.splice(at, 1);
    for (const part of parts ?? []) {
      this.addMap({ ...part, basin, stratum, furtherExtents: [] });
    }
  }

  addMap(structure: unknown): void {
    const { basin, stratum, firstIndex, numGrains, page, furtherExtents } =
      structure as KaitaiAddMap;
    const grains = numGrains.value;
    const { grainExp = 0 } = this.#strata.get(`${basin.value}-${stratum.value}`) ?? {};
    const markPages = Math.ceil(grains / 16_192);
    const overheadPages = (markPages > 1 ? 2 : 0) + 2 * markPages;
    const numPages = overheadPages + Math.ceil((grains * 2 ** grainExp) / 4096);
    const further = furtherExtents.map((one) => ({ page: one.page.value, pages: one.pages.value }));
    const parts = partsOf({ page: page.value, numPages, overheadPages }, further);
    this.stretch(basin.value, stratum.value, { from: firstIndex.value, grains, parts });
  }

  /** Where the bytes are from a grain on, to the end of its map. */
  of(basin: number, stratum: number, index: number): Part[] {
    const known = this.#strata.get(`${basin}-${stratum}`);
    for (const { from, grains, parts } of known?.stretches ?? []) {
      if (index < from || index >= from + grains) continue;
      let skip = (index - from) * 2 ** (known?.grainExp ?? 0);
      const found: Part[] = [];
      for (const { offset, bytes } of parts) {
        if (bytes > skip) found.push({ offset: offset + skip, bytes: bytes - skip });
        skip = Math.max(0, skip - bytes);
      }
      return found;
    }
    throw new Error(`no grain map has ${basin}-${stratum}-${index}`);
  }
}
