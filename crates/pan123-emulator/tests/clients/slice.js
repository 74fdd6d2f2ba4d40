// Sends one slice with axios and form-data from a file stream.
//
// usage: node slice.js URL TOKEN PREUPLOAD_ID SLICE_NO SLICE_MD5 FILE
const axios = require("axios");
const FormData = require("form-data");
const fs = require("fs");

const [url, token, preuploadID, sliceNo, sliceMD5, file] = process.argv.slice(2);
const form = new FormData();
form.append("preuploadID", preuploadID);
form.append("sliceNo", sliceNo);
form.append("sliceMD5", sliceMD5);
form.append("slice", fs.createReadStream(file));

axios
  .post(`${url}/upload/v2/file/slice`, form, {
    maxBodyLength: Infinity,
    proxy: false,
    timeout: 20000,
    headers: { Authorization: `Bearer ${token}`, Platform: "open_platform", ...form.getHeaders() },
  })
  .then((response) => console.log(JSON.stringify(response.data)))
  .catch((error) => {
    console.error(String(error));
    process.exit(1);
  });
