// Shared WGSL functions, by the name that `//#use` calls them.
import activation from "./activation.wgsl?raw";
import block from "./block.wgsl?raw";
import border from "./border.wgsl?raw";
import matrix from "./matrix.wgsl?raw";
import matrixEmulated from "./matrix-emulated.wgsl?raw";
import matrixHeads from "./matrix-heads.wgsl?raw";
import matrixTile from "./matrix-tile.wgsl?raw";
import eight from "./eight.wgsl?raw";
import fours from "./fours.wgsl?raw";
import foursBlock from "./fours-block.wgsl?raw";
import heads from "./heads.wgsl?raw";
import madd from "./madd.wgsl?raw";
import ncePair from "./nce-pair.wgsl?raw";
import nceRow from "./nce-row.wgsl?raw";
import nceStore from "./nce-store.wgsl?raw";
import nceTile from "./nce-tile.wgsl?raw";
import optim from "./optim.wgsl?raw";
import optimDecide from "./optim-decide.wgsl?raw";
import pixel from "./pixel.wgsl?raw";
import rows from "./rows.wgsl?raw";
import window from "./window.wgsl?raw";
import noLabel from "./no-label.wgsl?raw";
import online from "./online.wgsl?raw";
import rng from "./rng.wgsl?raw";
import share from "./share.wgsl?raw";
import slide from "./slide.wgsl?raw";
import tile from "./tile.wgsl?raw";
import total from "./total.wgsl?raw";

export const libraries: Readonly<Record<string, string>> = { activation, block, border, eight, fours, foursBlock, heads, madd, matrix, matrixHeads, matrixTile, pixel, rows, tile, total, ncePair, nceRow, nceStore, nceTile, noLabel, optim, optimDecide, online, rng, share, slide, window };

/** In place of `libraries.matrix`, for variants that stand in for those with subgroup matrices: the same functions in plain WGSL. */
export const emulatedMatrix: Readonly<Record<string, string>> = { matrix: matrixEmulated };
