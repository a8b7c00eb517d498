/** The rooms that a Predictor works in, loaded with the first one: importing the package stays cheap. */
export async function rooms() {
  const [bundle, filmEncoder, network, intake, feedback, reviews] = await Promise.all([
    import('./fusion/bundle.js'),
    import('./film-encoder.js'),
    import('./fusion/network.js'),
    import('./film-intake.js'),
    import('./film-feedback.js'),
    import('./text/reviews.js'),
  ]);
  return { ...bundle, ...filmEncoder, ...network, ...intake, ...feedback, ...reviews };
}
export type Rooms = Awaited<ReturnType<typeof rooms>>;
