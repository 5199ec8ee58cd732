// The hosted RPG V4's published example, with nothing changed but the address and the key.
//   npm install axios
//   LIMNER_KEY=SG_... node rpg_v4.cjs warrior.jpg
const axios = require('axios');
const fs = require('fs');

const api_key = process.env.LIMNER_KEY;
const url = `${process.env.LIMNER_URL || 'http://127.0.0.1:8420'}/v1/sd1.5-rpg`;

const data = {
  prompt: 'warrior, warhammer 40k, space marine, intricate ornamented, Smoke Gray Aluminum Beige armor, adepta sororitas, dynamic posture, Alpine desert landscape background, volumetric cinematic lighting, (highly detailed skull:0.8), realistic reflections, cinematic composition',
  negative_prompt: 'boring, poorly drawn, bad artist, (worst quality:1.4), simple background, uninspired, (bad quality:1.4), monochrome, low background contrast, background noise, duplicate, crowded, (nipples:1.2), big breasts',
  scheduler: 'ddim',
  num_inference_steps: 25,
  guidance_scale: 9,
  samples: 1,
  seed: 2601738487234,
  img_width: 512,
  img_height: 768,
  base64: false,
};

(async function () {
  try {
    const response = await axios.post(url, data, {
      headers: { 'x-api-key': api_key },
      responseType: 'arraybuffer',
    });
    const file = process.argv[2] || 'warrior.jpg';
    fs.writeFileSync(file, response.data);
    console.log(`${file}: ${response.headers['content-type']}, seed ${response.headers['x-seed-value']}, ` +
      `${response.headers['x-remaining-credits']} credits left`);
  } catch (error) {
    console.error('Error:', error.response ? `${error.response.status} ${Buffer.from(error.response.data)}` : error.message);
    process.exitCode = 1;
  }
})();
