// Regions, details and followed pictures on the wire, and back.

/** As the API takes them; one without words is not sent. A painted mask takes the place of the box. */
export const regionsOnWire = (regions, standIn = null) => regions.filter(({ prompt }) => prompt.trim()).map(({ box, mask, ...rest }) => (
  mask ? { ...rest, mask: standIn ?? mask } : { ...rest, box }
));

/** As the API takes them, without where they came from; one without words is drawn by those of the picture. */
export const detailsOnWire = (details) => details.map(({ prompt, found: _, detector_sha256: __, ...rest }) => (
  { ...Object.fromEntries(Object.entries(rest).filter(([, value]) => value !== null)), ...(prompt?.trim() && { prompt }) }
));

/** As the API takes them; `standIn` in place of the pixels, for prices. */
export const guidesOnWire = (controls, standIn = null) => controls.map(({ preprocessor, options, image, pose, mode, ...rest }) => ({
  ...rest, ...(mode && mode !== "balanced" && { mode }),
  ...(pose ? { pose } : { image: standIn ?? image, ...(preprocessor && { preprocessor, ...(Object.keys(options ?? {}).length && { options }) }) }),
}));

/** Whether a generation has parts whose pixels are on the server alone. */
export const hasPixels = ({ controls = [], regions = [] }) => Boolean(controls.length) || regions.some(({ box }) => !box);

/**
 * The same parts with their pixels, as the desk has them; `kept(sha256)` fetches a picture. The maps
 * are those that were followed, so nothing makes them once more.
 */
export async function partsAgain({ controls = [], regions = [] }, kept) {
  return {
    controls: await Promise.all(controls.map(async ({ name, map_sha256: map, weight, start, end, mode = "balanced" }) => (
      { name, image: await kept(map), preprocessor: null, options: {}, mode, weight, start, end }
    ))),
    regions: await Promise.all(regions.map(async ({ mask_sha256: mask, ...rest }) => (mask ? { ...rest, box: [0, 0, 1, 1], mask: await kept(mask) } : rest))),
  };
}
