function (doc) {
	// The installed packages of each host: what the plugin "packages" found, or "system_packages", the
	// name that this view had for it in 2010.
	var packages = doc.packages || doc.system_packages;

	if (doc.doc_type === 'SystemRecord' && doc.system_name && packages) {
		emit(doc.system_name, packages);
	}
}
