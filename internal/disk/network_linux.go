package disk

import "golang.org/x/sys/unix"

// networks are file systems of other machines, by the numbers of statfs(2). Their
// locks and syncs are what the server at the other end makes of them.
var networks = map[int64]string{
	unix.NFS_SUPER_MAGIC: "NFS", unix.SMB_SUPER_MAGIC: "SMB", unix.SMB2_SUPER_MAGIC: "SMB", unix.CIFS_SUPER_MAGIC: "SMB",
	unix.AFS_SUPER_MAGIC: "AFS", unix.CEPH_SUPER_MAGIC: "Ceph", unix.CODA_SUPER_MAGIC: "Coda",
}

// Network names the kind of network file system that a folder is on; "" for a local
// one, or where it cannot be told.
func Network(dir string) string {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return ""
	}
	return networks[int64(st.Type)&0xffffffff]
}
