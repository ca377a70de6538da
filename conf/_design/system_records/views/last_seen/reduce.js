function (keys, values, rereduce) {
	// The latest of them; record is false where somebody has removed the record and left the mark.
	var out = {record: false, seen: ''};

	values.forEach(function (value) {
		out.record = out.record || value.record;
		if (value.seen > out.seen) {
			out.seen = value.seen;
		}
	});
	return out;
}
