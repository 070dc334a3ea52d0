# The bytes of a varve store, for Kaitai Struct (https://kaitai.io), compiler 0.11, and for targets with
# exact integers up to 2^48: JavaScript, Python, Ruby, Lua, PHP.
#
# spec/format.md says what the structures mean and how they are written. This file only reads them:
#
# - from the newer copy of the file header to the root, its basins, their grain maps and the marks;
# - from each mark that begins a value to the value. If a map has several extents, it shows the extents
#   and the marks, but not the values;
# - the commit log, retained and unsettled.
#
# It checks no CRC, since the language has none, and judges no record: it shows the content of the file.
# It reads no integer of more than 48 bits: a GrainId is read in parts.
meta:
  id: varve
  title: varve store, format version 3
  file-extension: varve
  license: MIT
  ks-version: '0.10'
  endian: le
  bit-endian: le
doc-ref: spec/format.md
instances:
  copy_0:
    pos: 0
    type: file_header
  copy_1:
    pos: 4096
    type: file_header
  header:
    value: 'copy_1.rank > copy_0.rank ? copy_1 : copy_0'
    doc: The copy with the higher generation. Check its `is_header` first.
  root_document:
    pos: header.root.slot_offset
    type: root_document
    if: header.root.generation > 0
  log:
    pos: 0
    type: unsettled_segment(_index)
    repeat: expr
    repeat-expr: header.num_segments
    doc: The segments with the records after `header.base`, in order of use.
types:
  # ── fields ──
  u48:
    seq:
      - id: low
        type: u4
      - id: high
        type: u2
    instances:
      value:
        value: low + high * 4294967296
  grain_id:
    doc: It names nothing if all of it is zero.
    doc-ref: spec/format.md "GrainIds"
    seq:
      - id: index
        type: u48
      - id: stratum_from_1
        type: u1
      - id: basin_from_1
        type: u1
    instances:
      stratum:
        value: stratum_from_1 - 1
      basin:
        value: basin_from_1 - 1
      is_none:
        value: index.value == 0 and stratum_from_1 == 0 and basin_from_1 == 0
  document_name:
    doc-ref: spec/format.md "Documents"
    seq:
      - id: page
        type: u48
      - id: capacity_pages
        type: u4
      - id: generation
        type: u4
      - id: length
        type: u4
      - id: crc
        type: u4
    instances:
      slot_offset:
        value: (page.value + (generation % 2) * capacity_pages) * 4096
  seal:
    doc-ref: spec/format.md "Seals"
    seq:
      - id: kind
        type: u4
        enum: kind
      - id: crc
        type: u4
      - id: generation
        type: u4
      - id: length
        type: u4
      - id: stamp
        type: u48
      - id: page
        type: u48
      - id: salt_start
        type: u4
  extent:
    seq:
      - id: page
        type: u48
      - id: pages
        type: u4

  # ── the file header and the root ──
  file_header:
    doc-ref: spec/format.md "File header"
    seq:
      - id: magic
        size: 8
      - id: version
        type: u4
      - id: flags
        type: u4
      - id: salt
        size: 8
      - id: generation
        type: u48
      - id: epoch
        type: u4
      - id: clean
        type: u1
      - id: reserved
        size: 1
      - id: base
        type: u48
      - id: confirmed
        type: u48
      - id: checkpoint
        type: u48
      - id: embedded_header
        type: grain_id
      - id: root
        type: document_name
      - id: retained_log_bytes
        type: u48
      - id: lane_sectors
        type: u48
        repeat: expr
        repeat-expr: 2
      - id: num_segments
        type: u2
      - id: segments
        type: extent
        repeat: expr
        repeat-expr: num_segments
        if: is_header
      - id: unused
        size: 508 - 104 - num_segments * 10
        if: is_header
      - id: crc
        type: u4
        if: is_header
    instances:
      is_header:
        value: >-
          magic == [0x76, 0x61, 0x72, 0x76, 0x65, 0x0d, 0x0a, 0x1a] and version == 3 and flags == 0
          and num_segments <= 40
      rank:
        value: 'is_header ? generation.value : 0'
  root_document:
    doc-ref: spec/format.md "Root"
    seq:
      - id: seal
        type: seal
      - id: num_basins
        type: u4
      - id: num_segments
        type: u4
      - id: num_bodies
        type: u4
      - id: embedded_header
        type: grain_id
      - id: basin_names
        type: document_name
        repeat: expr
        repeat-expr: num_basins
      - id: segments
        type: retained_segment
        repeat: expr
        repeat-expr: num_segments
      - id: bodies
        type: retained_body
        repeat: expr
        repeat-expr: num_bodies
    instances:
      basins:
        pos: 0
        type: basin_slot(_index)
        repeat: expr
        repeat-expr: num_basins
  basin_slot:
    params:
      - id: number
        type: u4
    instances:
      name:
        value: _root.root_document.basin_names[number]
      document:
        pos: name.slot_offset
        type: basin(number)
        if: name.generation > 0

  # ── basins, grain maps, values ──
  basin:
    doc-ref: spec/format.md "Basin"
    params:
      - id: number
        type: u4
    seq:
      - id: seal
        type: seal
      - id: num_strata
        type: u4
      - id: strata
        type: stratum(number, _index)
        repeat: expr
        repeat-expr: num_strata
  stratum:
    params:
      - id: basin
        type: u4
      - id: number
        type: u4
    seq:
      - id: grain_exp
        type: u1
      - id: reserved
        size: 3
      - id: num_maps
        type: u4
      - id: num_values
        type: u48
      - id: num_archived_values
        type: u48
      - id: value_bytes
        type: u48
      - id: num_allocated_grains
        type: u48
      - id: end_index
        type: u48
      - id: maps
        type: grain_map(basin, number, grain_exp)
        repeat: expr
        repeat-expr: num_maps
  grain_map:
    doc: The entry of a grain map in its basin, and the map that it leads to.
    doc-ref: spec/format.md "Grain map"
    params:
      - id: basin
        type: u4
      - id: stratum
        type: u4
      - id: grain_exp
        type: u4
    seq:
      - id: first_index
        type: u48
      - id: num_grains
        type: u4
      - id: page
        type: u48
      - id: generation
        type: u4
      - id: crc
        type: u4
      - id: num_free
        type: u4
      - id: longest_free
        type: u2
      - id: num_further_extents
        type: u2
      - id: further_extents
        type: extent
        repeat: expr
        repeat-expr: num_further_extents
    instances:
      num_mark_pages:
        value: (num_grains + 16191) / 16192
      has_head:
        value: num_mark_pages > 1
        doc: Without a head, generation and crc are those of the only mark page.
      overhead_pages:
        value: '(has_head ? 2 : 0) + 2 * num_mark_pages'
      num_pages:
        value: overhead_pages + (num_grains * grain_bytes + 4095) / 4096
        doc: The pages of all extents. The first extent has those that the further ones do not have.
      is_in_one_extent:
        value: num_further_extents == 0
      grain_bytes:
        value: 1 << grain_exp
      grains_offset:
        value: (page.value + overhead_pages) * 4096
        doc: Offset of the first grain. All others follow it, unless there are further extents.
      head:
        pos: (page.value + generation % 2) * 4096
        type: map_head
        if: has_head and generation > 0
      mark_pages:
        pos: 0
        type: mark_page(_index)
        repeat: expr
        repeat-expr: num_mark_pages
  map_head:
    seq:
      - id: seal
        type: seal
      - id: first_grain
        type: grain_id
      - id: num_grains
        type: u4
      - id: num_mark_pages
        type: u2
      - id: grain_exp
        type: u1
      - id: reserved
        size: 1
      - id: mark_pages
        type: mark_page_name
        repeat: expr
        repeat-expr: num_mark_pages
  mark_page_name:
    doc: The name of a mark page in the head. If the generation is 0, its other fields have no meaning.
    seq:
      - id: generation
        type: u4
      - id: crc
        type: u4
      - id: num_free
        type: u2
      - id: longest_free
        type: u2
  mark_page:
    doc: A mark page that the head (or, without one, the basin) names, and its marks.
    params:
      - id: ordinal
        type: u4
    instances:
      map:
        value: _parent
      named_generation:
        value: map.head.mark_pages[ordinal].generation
        if: map.has_head and map.generation > 0
      generation:
        value: 'map.has_head and map.generation > 0 ? named_generation : map.generation'
      num_grains_left:
        value: map.num_grains - ordinal * 16192
      marks:
        pos: '(map.page.value + (map.has_head ? 2 : 0) + 2 * ordinal + generation % 2) * 4096'
        type: marks
        if: generation > 0
        doc: Without marks every grain of the page is free. Marks are as of the stamp of their seal.
      grains:
        pos: 0
        type: grain(_index)
        repeat: expr
        repeat-expr: 'num_grains_left < 16192 ? num_grains_left : 16192'
        if: generation > 0
  marks:
    seq:
      - id: seal
        type: seal
      - id: first_grain
        type: grain_id
        doc: Of the map, not of the page.
      - id: num_grains
        type: u4
      - id: ordinal
        type: u2
      - id: grain_exp
        type: u1
      - id: reserved
        size: 1
      - id: marks
        type: b2
        enum: mark
        repeat: expr
        repeat-expr: 16192
  grain:
    params:
      - id: at
        type: u4
    instances:
      map:
        value: _parent.map
      mark:
        value: _parent.marks.marks[at]
      is_value:
        value: mark == mark::value or mark == mark::archived
      index:
        value: map.first_index.value + _parent.ordinal * 16192 + at
        doc: Index in the stratum. With basin and stratum of `map` it is the GrainId of the value.
      value:
        pos: map.grains_offset + (_parent.ordinal * 16192 + at) * map.grain_bytes
        type: value
        if: is_value and map.is_in_one_extent
        doc: |
          Only in a map of one extent. In other maps the bytes of a value may continue in another
          extent, and one type cannot be read from two places. spec/format.md "Grain map" says where
          they are.

          The mark is as of the page's stamp. In a store that was not closed, a later record may have
          freed the grain, and another value may use it. Then this is garbage, or reading it fails:
          apply the records after the stamp first (spec/format.md "Opening").
  value:
    doc-ref: spec/format.md "Values"
    seq:
      - id: length
        type: u4
      - id: crc
        type: u4
      - id: data
        size: length

  # ── the commit log ──
  unsettled_segment:
    doc: A segment that the file header lists.
    params:
      - id: ordinal
        type: u4
    instances:
      extent:
        value: _root.header.segments[ordinal]
      first_sector:
        value: extent.page.value * 8
      lane_sectors:
        value: extent.pages * 4
      even_from:
        value: 'ordinal == 0 ? _root.header.lane_sectors[0].value : first_sector'
      odd_from:
        value: 'ordinal == 0 ? _root.header.lane_sectors[1].value : first_sector + lane_sectors'
      even:
        pos: even_from * 512
        type: lane(first_sector + lane_sectors)
      odd:
        pos: odd_from * 512
        type: lane(first_sector + 2 * lane_sectors)
  retained_segment:
    doc: A segment that holds records after the checkpoint. They begin at the start of each lane.
    seq:
      - id: page
        type: u48
      - id: pages
        type: u4
      - id: first_batch
        type: u48
    instances:
      even:
        pos: page.value * 4096
        type: lane(page.value * 8 + pages * 4)
      odd:
        pos: page.value * 4096 + pages * 2048
        type: lane((page.value + pages) * 8)
  retained_body:
    seq:
      - id: page
        type: u48
      - id: pages
        type: u4
      - id: batch
        type: u48
  lane:
    doc: Consecutive records, up to the first sector in which no record begins.
    doc-ref: spec/format.md "Commit log"
    params:
      - id: end_sector
        type: u8
    seq:
      - id: records
        type: record
        repeat: until
        repeat-until: not _.is_record or _io.pos >= end_sector * 512
        if: _io.pos < end_sector * 512
  sector_head:
    seq:
      - id: crc
        type: u4
      - id: salt
        size: 8
      - id: epoch
        type: u4
      - id: batch
        type: u48
      - id: ordinal
        type: u2
      - id: sector
        type: u48
        doc: The number of this sector in the file. No sector of the log is sector 0.
      - id: num_used
        type: u2
  record:
    seq:
      - id: sector_head
        type: sector_head
      - id: head
        type: record_head
        if: is_record
      - id: inline_body
        type: record_body(true, inline_end)
        if: is_record and head.place == body_place::inline
      - id: padding
        size: offset + head.num_sectors * 512 - _io.pos
        if: is_record
    instances:
      is_record:
        value: sector_head.sector.value != 0 and sector_head.ordinal == 0
      offset:
        value: sector_head.sector.value * 512
      inline_sectors_before_last:
        value: (24 + head.num_body_bytes - 1) / 480
      inline_end:
        value: >-
          offset + inline_sectors_before_last * 512
          + 32 + 24 + head.num_body_bytes - inline_sectors_before_last * 480
      extent_body:
        pos: head.page.value * 4096
        type: record_body(false, head.page.value * 4096 + head.num_body_bytes)
        if: is_record and head.place == body_place::extent
      body:
        value: 'head.place == body_place::inline ? inline_body : extent_body'
  record_head:
    seq:
      - id: num_body_bytes
        type: u4
      - id: body_crc
        type: u4
      - id: num_sectors
        type: u2
      - id: place
        type: u1
        enum: body_place
      - id: reserved_1
        size: 1
      - id: page
        type: u48
      - id: num_pages
        type: u4
      - id: reserved_2
        size: 2

  # ── records ──
  record_body:
    doc: |
      `framed` if the body continues from sector to sector, each with a head to skip.
    doc-ref: spec/format.md "Records"
    params:
      - id: framed
        type: bool
      - id: end
        type: u8
    seq:
      - id: batch
        type: body_u48(framed)
      - id: committed_at
        type: body_u48(framed)
      - id: embedded_header
        type: body_grain_id(framed)
      - id: checkpoint
        type: body_u48(framed)
      - id: retained_log_bytes
        type: body_u48(framed)
      - id: operations
        type: operation(framed, _index)
        repeat: until
        repeat-until: _io.pos >= end
        if: _io.pos < end
  operation:
    doc: |
      `basin`, `stratum`, `index`, `count` and `length` describe the run of a value (allocate,
      archive, free). They depend on the operations before: ask for them in order.
    params:
      - id: framed
        type: bool
      - id: ordinal
        type: u4
    seq:
      - id: code
        type: body_u1(framed)
      - id: enter
        type: op_stratum(framed)
        if: operation == operation_code::stratum
      - id: distance
        type: body_varint(framed)
        if: is_run and not is_adjacent
        doc: Distance from the end of the last run, a zigzag.
      - id: new_count
        type: body_u1(framed)
        if: is_run and not is_alike
      - id: new_length
        type: body_varint(framed)
        if: is_run and not is_alike
      - id: value_crc
        type: body_u32(framed)
        if: operation == operation_code::allocate and not is_carried
      - id: value_bytes
        type: body_u1(framed)
        repeat: expr
        repeat-expr: length
        if: operation == operation_code::allocate and is_carried
        doc: The value, if the record carries it.
      - id: structure
        type:
          switch-on: operation
          cases:
            'operation_code::add_basin': op_add_basin(framed)
            'operation_code::add_stratum': op_add_stratum(framed)
            'operation_code::add_map': op_add_map(framed)
            'operation_code::drop_map': op_drop_map(framed, is_adjacent)
    instances:
      operation:
        value: code.value & 7
        enum: operation_code
      is_adjacent:
        value: (code.value & 8) != 0
      is_alike:
        value: (code.value & 16) != 0
      is_carried:
        value: (code.value & 32) != 0
      is_run:
        value: >-
          operation == operation_code::allocate or operation == operation_code::archive
          or operation == operation_code::free
      is_first:
        value: ordinal == 0
      previous:
        value: _parent.operations[ordinal - 1]
        if: not is_first
      basin:
        value: >-
          operation == operation_code::stratum ? enter.basin.value : (is_first ? -1 : previous.basin.as<s4>)
      stratum:
        value: >-
          operation == operation_code::stratum
          ? enter.stratum.value : (is_first ? -1 : previous.stratum.as<s4>)
      index_before:
        value: 'is_first ? 0 : previous.index_after.as<s8>'
        doc: Index after the last run.
      index:
        value: 'is_adjacent ? index_before : index_before + distance.signed'
        if: is_run
      index_after:
        value: >-
          operation == operation_code::stratum ? 0 : (is_run ? index + count : index_before)
      count:
        value: 'is_run and not is_alike ? new_count.value : (is_first ? 0 : previous.count.as<s4>)'
      length:
        value: 'is_run and not is_alike ? new_length.value : (is_first ? 0 : previous.length.as<s8>)'
  op_stratum:
    params:
      - id: framed
        type: bool
    seq:
      - id: basin
        type: body_u1(framed)
      - id: stratum
        type: body_u1(framed)
  op_add_basin:
    params:
      - id: framed
        type: bool
    seq:
      - id: basin
        type: body_u1(framed)
  op_add_stratum:
    params:
      - id: framed
        type: bool
    seq:
      - id: basin
        type: body_u1(framed)
      - id: stratum
        type: body_u1(framed)
      - id: grain_exp
        type: body_u1(framed)
  op_add_map:
    params:
      - id: framed
        type: bool
    seq:
      - id: basin
        type: body_u1(framed)
      - id: stratum
        type: body_u1(framed)
      - id: first_index
        type: body_u48(framed)
      - id: num_grains
        type: body_u32(framed)
      - id: page
        type: body_u48(framed)
      - id: num_further_extents
        type: body_u1(framed)
      - id: further_extents
        type: body_extent(framed)
        repeat: expr
        repeat-expr: num_further_extents.value
  op_drop_map:
    doc: With is_replaced, the parts have the values of the map from this batch on.
    params:
      - id: framed
        type: bool
      - id: is_replaced
        type: bool
    seq:
      - id: basin
        type: body_u1(framed)
      - id: stratum
        type: body_u1(framed)
      - id: first_index
        type: body_u48(framed)
      - id: num_parts_low
        type: body_u1(framed)
        if: is_replaced
      - id: num_parts_high
        type: body_u1(framed)
        if: is_replaced
      - id: parts
        type: map_part(framed)
        repeat: expr
        repeat-expr: num_parts
        if: is_replaced
    instances:
      num_parts:
        value: 'is_replaced ? num_parts_low.value + num_parts_high.value * 256 : 0'
  map_part:
    params:
      - id: framed
        type: bool
    seq:
      - id: first_index
        type: body_u48(framed)
      - id: num_grains
        type: body_u32(framed)
      - id: page
        type: body_u48(framed)

  # ── fields of a body, byte by byte, since each may be the last of its sector ──
  body_u1:
    params:
      - id: framed
        type: bool
    seq:
      - id: next_sector_head
        size: '(framed and _io.pos % 512 == 0) ? 32 : 0'
      - id: value
        type: u1
  body_u32:
    params:
      - id: framed
        type: bool
    seq:
      - id: bytes
        type: body_u1(framed)
        repeat: expr
        repeat-expr: 4
    instances:
      value:
        value: >-
          bytes[0].value + bytes[1].value * 256 + bytes[2].value * 65536
          + bytes[3].value * 16777216
  body_u48:
    params:
      - id: framed
        type: bool
    seq:
      - id: low
        type: body_u32(framed)
      - id: high
        type: body_u1(framed)
        repeat: expr
        repeat-expr: 2
    instances:
      value:
        value: low.value + (high[0].value + high[1].value * 256) * 4294967296
  body_extent:
    params:
      - id: framed
        type: bool
    seq:
      - id: page
        type: body_u48(framed)
      - id: pages
        type: body_u32(framed)
  body_grain_id:
    params:
      - id: framed
        type: bool
    seq:
      - id: index
        type: body_u48(framed)
      - id: stratum_from_1
        type: body_u1(framed)
      - id: basin_from_1
        type: body_u1(framed)
    instances:
      stratum:
        value: stratum_from_1.value - 1
      basin:
        value: basin_from_1.value - 1
      is_none:
        value: index.value == 0 and stratum_from_1.value == 0 and basin_from_1.value == 0
  body_varint:
    doc: Seven bits in each byte, the low ones first. The top bit says that another byte follows.
    params:
      - id: framed
        type: bool
    seq:
      - id: groups
        type: body_u1(framed)
        repeat: until
        repeat-until: _.value < 128
    instances:
      num_groups:
        value: groups.size
      low:
        value: >-
          groups[0].value % 128
          + (num_groups > 1 ? groups[1].value % 128 : 0) * 128
          + (num_groups > 2 ? groups[2].value % 128 : 0) * 16384
          + (num_groups > 3 ? groups[3].value % 128 : 0) * 2097152
      high:
        value: >-
          (num_groups > 4 ? groups[4].value % 128 : 0)
          + (num_groups > 5 ? groups[5].value % 128 : 0) * 128
          + (num_groups > 6 ? groups[6].value % 128 : 0) * 16384
          + (num_groups > 7 ? groups[7].value % 128 : 0) * 2097152
      value:
        value: low + high * 268435456
      signed:
        value: 'value % 2 == 0 ? value / 2 : -((value + 1) / 2)'
        doc: The number as a zigzag.
enums:
  kind:
    0x746f6f72: root
    0x6e736162: basin
    0x2070616d: map
    0x6b72616d: marks
  mark:
    0: free
    1: continues
    2: value
    3: archived
  body_place:
    0: inline
    1: extent
  operation_code:
    0: stratum
    1: allocate
    2: archive
    3: free
    4: add_basin
    5: add_stratum
    6: add_map
    7: drop_map
